"""Exports are proven, repeatable, complete, and leave nothing behind when they fail."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from vacc_deploy.cli.app import main
from vacc_deploy.errors import ConfigError, ModelError
from vacc_deploy.evaluate import get_protocol
from vacc_deploy.export import exporter, proof
from vacc_deploy.export.complexity import measure
from vacc_deploy.export.exporter import export_model
from vacc_deploy.export.proof import compare
from vacc_deploy.export.recipe import Recipe
from vacc_deploy.export.registry import find_recipe, shipped_recipes
from vacc_deploy.frontend import load_model
from vacc_deploy.frontend.torchscript import convert_file
from vacc_deploy.processing import Postprocess, Preprocess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Doubler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(self.conv(x), scale_factor=2)


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "name": "doubler", "title": "t", "build": Doubler, "input_shape": (1, 3, 16, 20), "size_step": 4,
        "preprocess": Preprocess((16, 20)), "postprocess": Postprocess(), "protocol": "none", "paper": "",
        "licence": "",
    }  # fmt: skip
    return Recipe(**(fields | changes))


def test_export_writes_proves_and_describes(tmp_path: Path) -> None:
    result = export_model(recipe(), size=(8, 12), out_dir=tmp_path)
    assert result.weights == "seeded"
    assert [item.form for item in result.differences] == ["onnx", "torchscript"]
    assert all(item.max_abs <= 1e-6 for item in result.differences)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["doubler.onnx", "doubler.torchscript.pt"]
    model = onnx.load(tmp_path / "doubler.onnx")
    (properties,) = model.metadata_props
    document = json.loads(properties.value)
    assert properties.key == "vdeploy"
    assert document["inputs"] == {"input": [1, 3, 8, 12]}
    assert Preprocess.from_json(document["preprocess"]) == Preprocess((8, 12))
    assert Postprocess.from_json(document["postprocess"]) == Postprocess()


def test_export_is_repeatable_and_holds_no_paths(tmp_path: Path) -> None:
    # torch numbers the classes of a TorchScript file by process, so only its ONNX repeats within one.
    for folder in ("a", "b"):
        export_model(recipe(), out_dir=tmp_path / folder)
    first = tmp_path / "a" / "doubler.onnx"
    assert first.read_bytes() == (tmp_path / "b" / "doubler.onnx").read_bytes()
    for path in (first, tmp_path / "a" / "doubler.torchscript.pt"):
        assert str(Path(__file__).parent).encode() not in path.read_bytes()


def test_both_forms_give_the_same_model(tmp_path: Path) -> None:
    files = export_model(recipe(), out_dir=tmp_path).files
    convert_file(files["torchscript"], tmp_path / "converted.onnx", {"input": (1, 3, 16, 20)})
    first, second = (load_model(path) for path in (files["onnx"], tmp_path / "converted.onnx"))
    assert first.metadata_props == second.metadata_props
    assert [str(node) for node in first.graph] == [str(node) for node in second.graph]
    for name, value in first.graph.initializers.items():
        np.testing.assert_array_equal(
            value.const_value.numpy(), second.graph.initializers[name].const_value.numpy()
        )


class Fickle(Doubler):
    """Adds the mean of what it saw while tracing: exactly what tracing cannot follow."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        return super().forward(x) + float(self.calls)


def test_a_network_that_tracing_cannot_follow_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="differs from PyTorch"):
        export_model(recipe(build=Fickle), out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_number_of_outputs(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="returns 1 outputs, its recipe names 2"):
        export_model(recipe(output_names=("a", "b")), out_dir=tmp_path)


@pytest.mark.parametrize("formats", [[], ["coreml"]])
def test_unknown_format(formats: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown export format"):
        export_model(recipe(), out_dir=tmp_path, formats=formats)


COMPARISONS = {
    "nan": (np.full((2,), np.nan, np.float32), "differs"),
    "far": (np.array([1.0, 2.1], np.float32), "differs"),
    "shape": (np.array([1.0], np.float32), "returns"),
}


@pytest.mark.parametrize("case", COMPARISONS)
def test_proof_refuses(case: str) -> None:
    got, message = COMPARISONS[case]
    with pytest.raises(ModelError, match=message):
        compare("onnx", [np.array([1.0, 2.0], np.float32)], [got], 1e-4)


def test_sizes() -> None:
    assert recipe().at_size(16, 20) == recipe()
    with pytest.raises(ConfigError, match="multiples of 4"):
        recipe().at_size(15, 20)
    with pytest.raises(ConfigError, match="16x20 pictures only"):
        recipe(size_step=0).at_size(20, 20)


OWN_FILE = """
from torch import nn
from vacc_deploy.export.recipe import Recipe
from vacc_deploy.export.registry import register
from vacc_deploy.processing import Postprocess, Preprocess

register(Recipe(name="mine", title="my own", build=lambda: nn.Conv2d(3, 3, 1), input_shape=(1, 3, 8, 8),
                preprocess=Preprocess((8, 8)), postprocess=Postprocess(), protocol="", paper="", licence=""))
"""


def test_a_file_of_ones_own_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my_model.py"
    path.write_text(OWN_FILE)
    for _ in range(2):  # loading a file again is no conflict
        arguments = ["export", str(path), "-o", str(tmp_path / "out"), "--format", "onnx", "--json"]
        assert main(arguments) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out[captured.out.rindex("\n{") :] if "\n{" in captured.out else captured.out)
    assert "SEEDED RANDOM" in captured.err
    assert (tmp_path / "out" / "mine.onnx").is_file()


BAD_FILES = {
    "broken": ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
    "empty": ("", "it registers none"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_one_error(case: str, tmp_path: Path) -> None:
    text, message = BAD_FILES[case]
    (tmp_path / "m.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_recipe(str(tmp_path / "m.py"))
    assert message in str(caught.value)


LOOKUPS = {
    "recipe": (("lesrcn", None), "did you mean 'lesrcnn'"),
    "variant": (("lesrcnn", "x5"), "its variants are x2, x3, x4"),
    "no-variants": (("vdsr", "x5"), "a single variant"),
    "file": (("./missing.py", None), "there is no file"),
}


@pytest.mark.parametrize("case", LOOKUPS)
def test_unknown_names_are_answered(case: str) -> None:
    (name, variant), message = LOOKUPS[case]
    with pytest.raises(ConfigError) as caught:
        find_recipe(name, variant)
    assert message in str(caught.value)


def test_first_variant_is_the_default() -> None:
    assert find_recipe("lesrcnn").variant == "x2"
    assert find_recipe("fsrnet").variant == "batch"
    assert len({item.stem for item in shipped_recipes()}) == len(shipped_recipes())


# Parameters and MACs that ../shared/data/ref/BASELINES.md counts for the official networks.
COMPLEXITY = {
    "vdsr": (664_704, 43_562_041_344),
    "lesrcnn_x4": (774_040, 68_666_408_960),
    "fsrnet_batch": (2_153_931, 15_279_325_184),
    "sparnet_light_attn3d": (5_242_211, 6_876_168_192),
    "gpen_256": (18_879_010, 8_703_384_064),
}


@pytest.mark.parametrize("stem", COMPLEXITY)
def test_complexity(stem: str) -> None:
    (found,) = (item for item in shipped_recipes() if item.stem == stem)
    cost = measure(found)
    parameters, macs = COMPLEXITY[stem]
    assert cost.parameters == parameters
    assert cost.macs == pytest.approx(macs, rel=5e-4)  # enlarging by a transposed filter costs less
    assert cost.card_gflops == pytest.approx(2 * cost.macs / 0.9e9)


def test_the_network_is_gone_before_onnx_runtime_needs_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks: list[weakref.ref[nn.Module]] = []
    alive: list[bool] = []

    def build() -> nn.Module:
        network = Doubler()
        network.ring = lambda: network  # as the hooks of a spectral normalisation do
        networks.append(weakref.ref(network))
        return network

    def run_onnx(*arguments: Any) -> Any:
        alive.append(networks[0]() is not None)
        return proof.run_onnx(*arguments)

    monkeypatch.setattr(exporter, "run_onnx", run_onnx)
    export_model(recipe(build=build), out_dir=tmp_path)
    assert alive == [False]


@pytest.mark.parametrize("stem", ["vdsr", "lesrcnn_x2"])
def test_shipped_recipe_exports_at_another_size(stem: str, tmp_path: Path) -> None:
    (found,) = (item for item in shipped_recipes() if item.stem == stem)
    result = export_model(found, size=(24, 16), out_dir=tmp_path, formats=["onnx"])
    (output,) = onnx.load(result.files["onnx"]).graph.output
    scale = 2 if stem == "lesrcnn_x2" else 1
    shape = [dim.dim_value for dim in output.type.tensor_type.shape.dim]
    assert shape[2:] == [24 * scale, 16 * scale]


@pytest.mark.parametrize("found", shipped_recipes(), ids=lambda item: item.stem)
def test_recipe_names_a_protocol_that_exists(found: Recipe) -> None:
    assert get_protocol(found.protocol, found.preprocess, found.postprocess)
