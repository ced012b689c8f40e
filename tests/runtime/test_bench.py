from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vacc_deploy.artifact import TensorSpec
from vacc_deploy.config import VdspParams
from vacc_deploy.errors import ConfigError, DataError, ErrorList, VdeployError
from vacc_deploy.runtime.bench import BenchSettings, run_bench
from vacc_deploy.runtime.bench.shapes import check_shapes
from vacc_deploy.runtime.bench.source import read_picture, read_tensors
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.vdsp import VdspOp
from vacc_deploy.safe_io import read_npz, write_npz, write_text_atomic


@pytest.fixture
def vdsp() -> VdspParams:
    return VdspParams("FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", {"NormaType": "DIV255"})


@pytest.fixture
def datalist(tmp_path: Path) -> Path:
    """Five pictures of different sizes, one npz each."""
    random = np.random.default_rng(0)
    for index in range(5):
        pixels = random.integers(0, 256, (3, 10 + index, 20), np.uint8)
        write_npz(tmp_path / f"{index}.npz", {"input_0": pixels})
    write_text_atomic(tmp_path / "list.txt", "".join(f"{tmp_path}/{index}.npz\n" for index in range(5)))
    return tmp_path / "list.txt"


SETTINGS: dict[str, dict[str, Any]] = {
    "throughput": {"iterations": 7},
    "latency": {"iterations": 7, "queue_size": 0},
    "three instances": {"iterations": 7, "instances": 3},
    "batch": {"iterations": 7, "batch_size": 4},
    "no warm-up": {"iterations": 7, "warmup": 0},
}


@pytest.mark.parametrize("fields", SETTINGS.values(), ids=SETTINGS)
def test_the_budget_of_requests_is_spent_exactly(tiny_artifact: Path, fields: dict[str, Any]) -> None:
    profile = run_bench(BenchSettings(tiny_artifact, threads=1, **fields))
    assert profile.requests == 7
    assert sum(span.items for span in profile.spans) == 7 * fields.get("batch_size", 1)
    assert profile.mode == ("latency" if "queue_size" in fields else "throughput")
    latency = profile.latency
    assert 0 < latency.min_us <= latency.percentiles_us[50] <= latency.percentiles_us[99] <= latency.max_us


def test_time_ends_a_benchmark_and_every_instance_gets_a_request(tiny_artifact: Path) -> None:
    profile = run_bench(BenchSettings(tiny_artifact, threads=1, instances=2, seconds=0.0))
    assert profile.requests == 2


@pytest.mark.slow
def test_processes_share_one_budget(
    tiny_artifact: Path, datalist: Path, vdsp: VdspParams, tmp_path: Path
) -> None:
    settings = BenchSettings(tiny_artifact, vdsp, processes=2, threads=1)
    assert run_bench(dataclasses.replace(settings, iterations=31)).requests == 31
    output = tmp_path / "out"
    run_bench(dataclasses.replace(settings, datalist=datalist, path_output=output, batch_size=2))
    assert sorted(path.name for path in output.iterdir()) == [f"output_{index:06d}.npz" for index in range(5)]


@pytest.mark.slow
def test_an_error_in_a_process_is_reported_as_itself(tiny_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(VdeployError, match="no artifact at"):
        run_bench(BenchSettings(tmp_path / "nothing" / "mod", processes=2, iterations=1))


RUNS = {"one instance": (1, 1), "two instances, batches of two": (2, 2)}


@pytest.mark.parametrize(("instances", "batch_size"), RUNS.values(), ids=RUNS)
def test_outputs_are_numbered_by_the_datalist(
    tiny_artifact: Path, datalist: Path, vdsp: VdspParams, tmp_path: Path, instances: int, batch_size: int
) -> None:
    settings = BenchSettings(
        tiny_artifact,
        vdsp,
        instances=instances,
        batch_size=batch_size,
        threads=1,
        datalist=datalist,
        path_output=tmp_path / "out",
    )
    profile = run_bench(settings)
    assert sum(span.items for span in profile.spans) == 5
    model = Model(tiny_artifact)
    for index in range(5):
        (name, array), *others = read_npz(tmp_path / "out" / f"output_{index:06d}.npz").items()
        assert (name, others, array.dtype, array.shape) == ("output_0", [], np.float16, (1, 3, 16, 24))
        picture: Any = read_picture(tmp_path / f"{index}.npz")
        tensor = VdspOp.from_params(vdsp).run(picture, input_shape=(1, 3, 16, 24))
        assert np.array_equal(array, model.run([tensor[np.newaxis]])[0])


def test_a_datalist_of_tensors_needs_no_vdsp_operator(tiny_artifact: Path, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((1, 3, 16, 24), np.float32)
    write_npz(tmp_path / "x.npz", {"anything": values})
    write_text_atomic(tmp_path / "list.txt", "x.npz\n")
    output = tmp_path / "out"
    run_bench(BenchSettings(tiny_artifact, threads=1, datalist=tmp_path / "list.txt", path_output=output))
    half = values.astype(np.float16).astype(np.float32)
    assert np.array_equal(read_npz(output / "output_000000.npz")["output_0"], (2 * half).astype(np.float16))


def test_arrays_are_taken_in_file_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "tokens.npz", input_ids=np.int32([1]), attention_mask=np.int32([2]), a=np.int32([3]))
    tensors: Any = read_tensors(tmp_path / "tokens.npz")
    assert [array.tolist() for array in tensors] == [[1], [2], [3]]


BAD_FILES: dict[str, tuple[Any, dict[str, np.ndarray], str]] = {
    "float picture": (read_picture, {"input_0": np.zeros((3, 4, 4), np.float32)}, r"float32 \[3, 4, 4\]"),
    "interleaved picture": (read_picture, {"input_0": np.zeros((4, 4, 3), np.uint8)}, r"uint8 \[4, 4, 3\]"),
    "picture without vdsp": (read_tensors, {"input_0": np.zeros((3, 4, 4), np.uint8)}, "--vdsp_params"),
}


@pytest.mark.parametrize(("read", "arrays", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_of_the_wrong_kind_is_named(
    tmp_path: Path, read: Any, arrays: dict[str, np.ndarray], message: str
) -> None:
    write_npz(tmp_path / "bad.npz", arrays)
    with pytest.raises(DataError, match=r"bad\.npz") as caught:
        read(tmp_path / "bad.npz")
    assert message.replace("\\", "") in str(caught.value)


def test_a_wrong_shape_names_what_to_do(tiny_artifact: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"-s asks for \[3,512,512\], the artifact takes \[3,16,24\]"
    ) as caught:
        run_bench(BenchSettings(tiny_artifact, iterations=1, shapes=((3, 512, 512),)))
    assert "compile for [3,512,512]" in str(caught.value)


def test_a_wrong_shape_names_the_artifact_that_has_it(tiny_artifact: Path, tmp_path: Path) -> None:
    for name, width in {"small": 24, "wide": 99}.items():
        (tmp_path / name).mkdir()
        manifest = json.loads(tiny_artifact.with_suffix(".json").read_text())
        manifest["inputs"][0]["shape"][3] = width
        (tmp_path / name / "mod.json").write_text(json.dumps(manifest))
    manifest = Model(tiny_artifact).manifest
    with pytest.raises(ConfigError) as caught:
        check_shapes(((3, 16, 99),), manifest, False, tmp_path / "small" / "mod")
    assert f"use -m {tmp_path}/wide/mod" in str(caught.value)


ACCEPTED: dict[str, tuple[tuple[tuple[int, ...], ...], tuple[TensorSpec, ...], bool, bool]] = {
    "with batch": (((1, 3, 4, 4),), (TensorSpec("x", (1, 3, 4, 4), "float16"),), False, True),
    "three channels for a Y network": (((3, 4, 4),), (TensorSpec("x", (1, 1, 4, 4), "float16"),), True, True),
    "three channels as a tensor": (((3, 4, 4),), (TensorSpec("x", (1, 1, 4, 4), "float16"),), False, False),
    "six shapes for three token inputs": (
        ((1, 8),) * 6,
        (TensorSpec("x", (1, 8), "int64"),) * 3,
        False,
        True,
    ),
    "two shapes for three token inputs": (
        ((1, 8),) * 2,
        (TensorSpec("x", (1, 8), "int64"),) * 3,
        False,
        False,
    ),
}


@pytest.mark.parametrize(("shapes", "inputs", "pictures", "fits"), ACCEPTED.values(), ids=ACCEPTED)
def test_shapes_fit_as_vamp_takes_them(
    tiny_artifact: Path, shapes: Any, inputs: tuple[TensorSpec, ...], pictures: bool, fits: bool
) -> None:
    manifest = dataclasses.replace(Model(tiny_artifact).manifest, inputs=inputs)
    if fits:
        check_shapes(shapes, manifest, pictures, tiny_artifact)
    else:
        with pytest.raises(ConfigError):
            check_shapes(shapes, manifest, pictures, tiny_artifact)


def test_all_wrong_flags_are_named_at_once() -> None:
    with pytest.raises(ErrorList) as caught:
        BenchSettings(Path("mod"), instances=0, batch_size=-1, percentiles=(101,), path_output=Path("out"))
    text = str(caught.value)
    assert all(flag in text for flag in ("(-i)", "(-b)", "percentiles", "--path_output"))


def test_an_error_in_one_instance_ends_the_others(tiny_artifact: Path, tmp_path: Path) -> None:
    write_npz(tmp_path / "good.npz", {"x": np.zeros((1, 3, 16, 24), np.float32)})
    write_npz(tmp_path / "bad.npz", {"x": np.zeros((1, 3, 99, 24), np.float32)})
    write_text_atomic(tmp_path / "list.txt", "good.npz\nbad.npz\n" + "good.npz\n" * 5000)
    output = tmp_path / "out"
    settings = BenchSettings(
        tiny_artifact, instances=2, threads=1, datalist=tmp_path / "list.txt", path_output=output
    )
    with pytest.raises(VdeployError, match=r"\[1, 3, 16, 24\], got \[1, 3, 99, 24\]"):
        run_bench(settings)
    written = list(
        output.glob("*.npz")
    )  # the error may come before the first result, and the folder with that
    assert len(written) < 1000
