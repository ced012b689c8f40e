"""Differences between calibration and run time are found, measured, and given their right name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vacc_deploy.check.compare import Comparison, compare_preprocessing
from vacc_deploy.check.pictures import sample_pictures
from vacc_deploy.config import VdspParams, build_config, load_build_config, load_vdsp_params
from vacc_deploy.errors import ConfigError
from vacc_deploy.safe_io import Positions

_SIZE = (64, 96)


def _compare(
    ops: list[dict[str, Any]],
    config: dict[str, Any],
    kind: str = "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR",
    channels: int = 3,
    large: bool = True,
) -> Comparison:
    data = {
        "name": "n",
        "frontend": {"type": "onnx", "checkpoint": "m.onnx", "shape": {"input": [1, channels, *_SIZE]}},
        "backend": {"dtype": "int8"},
        "dataset": {"path": "p", "process_ops": [{"type": "DecodeImage"}, *ops, {"type": "ToTensor"}]},
    }
    name, rgb = sample_pictures(_SIZE)[0 if large else 1]
    return compare_preprocessing(build_config(data, Positions("f")), VdspParams(kind, config), rgb, name)


_RESIZE = {"type": "Resize", "size": list(_SIZE)}
_HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
_VDSP_HALF = {"NormaType": "DIV255_MINUSMEAN_DIVSTD", "Mean": [0.5] * 3, "Std": [0.5] * 3}
_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_VDSP_IMAGENET = {
    "NormaType": "DIV255_MINUSMEAN_DIVSTD",
    "Mean": [0.485107421875, 0.4560546875, 0.406005859375],
    "Std": [0.22900390625, 0.2239990234375, 0.2249755859375],
}

AGREE: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "halves": ([_RESIZE, {"type": "Normalize", **_HALF}], _VDSP_HALF),
    "imagenet-in-fp16": ([_RESIZE, {"type": "Normalize", **_IMAGENET}], _VDSP_IMAGENET),
    "div255": ([_RESIZE, {"type": "Normalize", "norm_type": None}], {"NormaType": "DIV255"}),
    "raw": ([_RESIZE], {"NormaType": "EQUAL"}),
    "minus-one-to-one": (
        [_RESIZE, {"type": "Normalize", "div255": False, "mean": [127.5], "std": [127.5]}],
        {"NormaType": "DIV1275_MINUSONE"},
    ),
    "both-bgr": (
        [{"type": "CvtColor", "code": "COLOR_RGB2BGR"}, _RESIZE],
        {"NormaType": "EQUAL", "ColorCvtCode": "BGR2RGB"},
    ),
    "both-pillow": (
        [{**_RESIZE, "backend": "pillow"}],
        {"NormaType": "EQUAL", "ResizeType": "BILINEAR_PILLOW"},
    ),
}


@pytest.mark.parametrize("name", AGREE)
def test_agreement(name: str) -> None:
    result = _compare(*AGREE[name])
    assert result.max_steps <= 1.0
    assert result.agrees
    assert result.reasons == ()


DIFFER: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "pillow-at-run-time": (
        [_RESIZE],
        {"NormaType": "EQUAL", "ResizeType": "BILINEAR_PILLOW"},
        "resize kernel",
    ),
    "bicubic-calibration": (
        [{**_RESIZE, "interpolation": "bicubic"}],
        {"NormaType": "EQUAL"},
        "resize kernel",
    ),
    "bgr-at-run-time": ([_RESIZE], {"NormaType": "EQUAL", "ColorCvtCode": "RGB2BGR"}, "channel order"),
    "bgr-in-calibration": (
        [{"type": "CvtColor", "code": "COLOR_RGB2BGR"}, _RESIZE],
        {"NormaType": "EQUAL"},
        "channel order",
    ),
    "forgotten-div255": (
        [_RESIZE, {"type": "Normalize", "norm_type": None}],
        {"NormaType": "EQUAL"},
        "normalisation",
    ),
    "other-mean": ([_RESIZE, {"type": "Normalize", **_HALF}], _VDSP_IMAGENET, "normalisation"),
}


@pytest.mark.parametrize("name", DIFFER)
def test_single_cause(name: str) -> None:
    ops, config, cause = DIFFER[name]
    result = _compare(ops, config)
    assert not result.agrees
    assert [reason.cause for reason in result.reasons] == [cause]
    assert result.reasons[0].max_steps == pytest.approx(result.max_steps, rel=0.02)


def test_three_causes_at_once() -> None:
    ops = [{**_RESIZE, "interpolation": "bicubic"}, {"type": "Normalize", **_HALF}]
    result = _compare(ops, {"NormaType": "DIV255", "ColorCvtCode": "RGB2BGR"})
    assert sorted(reason.cause for reason in result.reasons) == [
        "channel order",
        "normalisation",
        "resize kernel",
    ]
    assert list(result.reasons) == sorted(result.reasons, key=lambda reason: -reason.mean_steps)


def test_letterbox_against_resize() -> None:
    result = _compare([_RESIZE], {"NormaType": "EQUAL"}, kind="FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR")
    assert [reason.cause for reason in result.reasons] == ["geometry"]


def test_luma_network_agrees() -> None:
    ops = [{"type": "CvtColor", "code": "COLOR_RGB2YCrCb"}, _RESIZE, {"type": "ChannelSplit", "index": 0},
           {"type": "Normalize", "norm_type": None}]  # fmt: skip
    assert _compare(ops, {"NormaType": "DIV255"}, channels=1).agrees


def test_difference_is_in_grey_levels() -> None:
    """A JSON whose Mean is one grey level off differs by exactly one step everywhere."""
    ops = [_RESIZE, {"type": "Normalize", "div255": False, "mean": [0.0], "std": [64.0]}]
    result = _compare(ops, {"NormaType": "MINUSMEAN_DIVSTD", "Mean": [2.0] * 3, "Std": [64.0] * 3})
    assert result.mean_steps == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("large", "says"), [(True, "INTER_AREA"), (False, "bicubic")], ids=["shrinks", "enlarges"]
)
def test_resize_quality(large: bool, says: str) -> None:
    result = _compare([_RESIZE], {"NormaType": "EQUAL"}, large=large)
    assert result.resize_quality is not None
    assert says in result.resize_quality.text
    assert result.resize_quality.mean_steps > 1


def test_nothing_to_compare() -> None:
    data = {
        "name": "n",
        "frontend": {"type": "onnx", "checkpoint": "m.onnx", "shape": {"a": [1, 8], "b": [1, 8]}},
        "backend": {"dtype": "int8"},
    }
    picture = np.zeros((8, 8, 3), np.uint8)
    params = VdspParams("FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR")
    with pytest.raises(ConfigError, match="nothing to compare"):
        compare_preprocessing(build_config(data, Positions("f")), params, picture, "p")


ZOO = {
    "sparnet": ("16×16", "enlarges 8 times with bilinear_cv, where training uses bicubic"),
    "lesrcnn": ("512×512", "shrinks 4 times with bilinear_cv, which skips pixels"),
}


@pytest.mark.parametrize("name", ZOO)
def test_known_resize_mistakes_of_the_zoo(name: str, shared_zoo: Path) -> None:
    folder = shared_zoo / "cv" / "super_resolution" / name / "build_in"
    config = load_build_config(next((folder / "build").glob("*.yaml")))
    params = load_vdsp_params(sorted((folder / "vdsp_params").glob("*.json"))[0])[0]
    size, says = ZOO[name]
    results = [
        compare_preprocessing(config, params, rgb, label) for label, rgb in sample_pictures((128, 128))
    ]
    found = {
        f"{r.size[0]}×{r.size[1]}": r.resize_quality.text for r in results if r.resize_quality is not None
    }
    assert says in found[size]
    assert all(result.agrees for result in results), "both sides make the same mistake"
