"""The evaluation loop with tiny stand-in models, whose scores can be worked out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vacc_deploy.errors import ConfigError, DataError, RunError
from vacc_deploy.evaluate import evaluate, get_protocol, protocols
from vacc_deploy.evaluate.degrade import degrade_face
from vacc_deploy.evaluate.evaluator import IDENTICAL_DB
from vacc_deploy.evaluate.tiling import run_tiled
from vacc_deploy.processing import Postprocess, Preprocess
from vacc_deploy.safe_io import write_image


class StandIn:
    """A model that repeats its input's pixels `scale` times, plus `offset`."""

    def __init__(self, shape: tuple[Any, ...] | None = None, scale: int = 1, offset: float = 0.0) -> None:
        self.input_shape, self.scale, self.offset = shape, scale, offset
        self.fed: list[tuple[int, ...]] = []

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        self.fed.append(arrays[0].shape)
        if self.input_shape is not None:
            assert arrays[0].shape[1:] == self.input_shape[1:]
        return [arrays[0].repeat(self.scale, 2).repeat(self.scale, 3) + np.float32(self.offset)]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(4)
    for index in range(2):
        face = cv2.resize(
            rng.integers(40, 220, (9, 9, 3), dtype=np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC
        )
        write_image(folder / f"{index}.png", face)
    return folder


CHANNELS = {name: 1 if name.startswith("vdsr") else 3 for name in protocols()}


@pytest.mark.parametrize("name", CHANNELS)
def test_every_protocol_scores_a_model_that_changes_nothing(name: str, faces: Path, tmp_path: Path) -> None:
    protocol = get_protocol(name)
    for hr in sorted(faces.iterdir()):  # an "enlarged" picture of scale 1
        (tmp_path / hr.name).write_bytes(hr.read_bytes())
    model = StandIn((1, CHANNELS[name], 64, 64))
    result = evaluate(model, protocol, tmp_path, faces, StandIn(offset=1e-3))
    assert result.images == 2
    assert [row.name for row in result.rows] == ["0", "1"]
    assert result.psnr_db > 12
    assert -1 <= result.ssim <= 1
    assert result.drop_db == pytest.approx(result.reference_psnr_db - result.psnr_db)  # type: ignore[operator]
    step = 255e-3 if name.startswith(("vdsr", "lesrcnn", "rgb")) else 127.5e-3
    assert result.fidelity_db == pytest.approx(20 * np.log10(255 / step), abs=0.01)
    json.dumps(result.to_json(), allow_nan=False)


def test_every_recipe_names_a_protocol_that_exists() -> None:
    registry = pytest.importorskip("vacc_deploy.export.registry")
    recipes = registry.shipped_recipes()
    assert recipes
    for recipe in recipes:
        get_protocol(recipe.protocol, recipe.preprocess, recipe.postprocess)


def test_identical_pictures_are_finite_in_the_result(faces: Path) -> None:
    result = evaluate(StandIn(), get_protocol("rgb"), faces, _twin(faces), StandIn())
    assert (result.psnr_db, result.fidelity_db, result.drop_db) == (IDENTICAL_DB, IDENTICAL_DB, 0.0)


def _twin(folder: Path) -> Path:
    twin = folder.parent / f"{folder.name}_twin"
    twin.mkdir(exist_ok=True)
    for path in folder.iterdir():
        (twin / path.name).write_bytes(path.read_bytes())
    return twin


def test_generic_protocol_follows_the_recipe(faces: Path) -> None:
    preprocess = Preprocess(size=(32, 32), color="bgr", divisor=1.0, mean=(127.5,) * 3, std=(127.5,) * 3)
    postprocess = Postprocess(scale=127.5, shift=127.5, color="bgr")
    protocol = get_protocol("rgb", preprocess, postprocess)
    result = evaluate(StandIn((1, 3, 32, 32)), protocol, faces, _twin(faces))
    assert result.psnr_db == IDENTICAL_DB  # both sides were resized to the model's size by the same kernel
    luma = get_protocol("rgb", Preprocess(size=(32, 32), color="y"), Postprocess(color="y"))
    assert evaluate(StandIn((1, 1, 64, 64)), luma, faces, _twin(faces)).psnr_db == IDENTICAL_DB


def test_a_model_of_another_kind_is_refused(faces: Path) -> None:
    with pytest.raises(RunError, match=r"feeds 3 channel\(s\), the model takes 1"):
        evaluate(StandIn((1, 1, 64, 64)), get_protocol("sparnet"), None, faces)
    with pytest.raises(RunError, match="not the same network"):
        evaluate(StandIn(), get_protocol("rgb"), faces, _twin(faces), StandIn(scale=2))
    with pytest.raises(DataError, match="another scale"):
        evaluate(StandIn(scale=2), get_protocol("lesrcnn_official"), faces, _twin(faces))
    with pytest.raises(ConfigError, match="unknown evaluation protocol 'nope'"):
        get_protocol("nope")


def test_nan_in_an_output_is_an_error(faces: Path) -> None:
    with pytest.raises(RunError, match="NaN"):
        evaluate(StandIn(offset=np.nan), get_protocol("sparnet"), None, faces)


def test_protocols_that_need_low_resolution_say_so(faces: Path) -> None:
    with pytest.raises(DataError, match="--lr"):
        evaluate(StandIn(), get_protocol("vdsr_vamp"), None, faces)


def test_degradation_depends_on_the_name_and_nothing_else() -> None:
    face = cv2.resize(np.random.default_rng(8).integers(0, 256, (8, 8, 3), dtype=np.uint8), (64, 48))
    first = degrade_face(face, "a")
    np.testing.assert_array_equal(first, degrade_face(face, "a"))
    assert first.shape == face.shape
    assert np.abs(first.astype(int) - degrade_face(face, "b")).mean() > 0.1
    assert np.abs(first.astype(int) - degrade_face(face, "a", seed=1)).mean() > 0.1


def test_native_pictures_run_in_tiles_and_say_so(faces: Path) -> None:
    model = StandIn((1, 3, 40, 48))
    result = evaluate(model, get_protocol("lesrcnn_official"), faces, _twin(faces), StandIn())
    assert result.fidelity_db == IDENTICAL_DB
    assert len(model.fed) > 2
    assert "overlapping tiles" in result.notes[0]


def box_blur(values: Any) -> Any:
    """A 9×9 convolution with zero padding: a network with a reach of 4 pixels."""
    planes = [cv2.boxFilter(plane, -1, (9, 9), borderType=cv2.BORDER_CONSTANT) for plane in values[0]]
    return np.stack(planes)[np.newaxis].repeat(2, 2).repeat(2, 3)


SIZES = {"fits": (32, 32), "larger": (75, 90), "one row more": (33, 32), "one long side": (32, 200)}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_tiles_join_exactly_where_the_overlap_covers_the_reach(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(6).random((1, 3, *size), np.float32)
    np.testing.assert_allclose(run_tiled(box_blur, picture, (32, 32), margin=6), box_blur(picture), atol=1e-6)


def test_a_picture_smaller_than_the_tile_is_extended() -> None:
    picture = np.random.default_rng(6).random((1, 3, 20, 50), np.float32)
    out = run_tiled(box_blur, picture, (32, 32), margin=6)
    assert out.shape == (1, 3, 40, 100)
    np.testing.assert_allclose(out[:, :, :30], box_blur(picture)[:, :, :30], atol=1e-6)


def test_networks_that_change_geometry_cannot_be_tiled() -> None:
    with pytest.raises(RunError, match="cannot run in tiles"):
        run_tiled(lambda tile: tile[:, :, 1:], np.zeros((1, 3, 64, 64), np.float32), (32, 32))
