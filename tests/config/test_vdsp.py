"""vdsp JSONs: the present format, the two old ones, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vacc_deploy.config import load_vdsp_params
from vacc_deploy.config.vdsp import KNOWN_KEYS, VdspParams
from vacc_deploy.config.vdsp_names import COLOR_CVT_CODES, IMAGE_FORMATS, NORMA_TYPES, OP_TYPES, RESIZE_TYPES
from vacc_deploy.errors import ErrorList, FileError
from vacc_deploy.runtime.vdsp import ColorCvtCode, ImageFormat, OpType, ResizeType, VdspOp
from vacc_deploy.runtime.vdsp.norm_table import NormaType

_RESIZE = "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR"
_CROP = "FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR"


def _load(data: Any, tmp_path: Path) -> list[VdspParams]:
    (tmp_path / "a.json").write_text(json.dumps(data))
    return load_vdsp_params(tmp_path / "a.json")


def _op(config: dict[str, Any], kind: str = _RESIZE) -> dict[str, Any]:
    return {"OpType": kind, "OpConfig": config}


def test_names_are_those_that_run() -> None:
    assert set(OP_TYPES) == set(OpType.__members__)
    assert set(IMAGE_FORMATS) == set(ImageFormat.__members__)
    assert set(RESIZE_TYPES) == set(ResizeType.__members__)
    assert set(NORMA_TYPES) == set(NormaType.__members__)
    assert [ColorCvtCode[name] for name in COLOR_CVT_CODES] == list(range(len(COLOR_CVT_CODES)))
    assert len(KNOWN_KEYS) >= 40


@pytest.mark.parametrize("kind", OP_TYPES)
def test_every_op_type_loads(kind: str, tmp_path: Path) -> None:
    (params,) = _load({"OpType": kind}, tmp_path)
    assert params.op_type == kind
    assert VdspOp.from_config(params.op_type, params.config).op_type == OpType[kind]


def test_a_shipped_file_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "official-vdsr-vdsp_params.json"
    (shipped,) = load_vdsp_params(name)
    assert shipped.config["OimageWidth"] == 256
    with pytest.raises(FileError, match="no such file"):
        load_vdsp_params(f"./elsewhere/{name}")
    Path(name).write_text(json.dumps(_op({"NormaType": "EQUAL", "OimageWidth": 8, "OimageHeight": 8})))
    (own,) = load_vdsp_params(name)
    assert own.config["OimageWidth"] == 8


def test_list_and_unknown_keys(tmp_path: Path) -> None:
    first, second = _load(
        [_op({"NormaType": "EQUAL", "FutureKey": [1]}), {"OpType": "BERT_EMBEDDING_OP"}], tmp_path
    )
    assert first.config["FutureKey"] == [1]
    assert [warning.what for warning in first.warnings] == [
        "'FutureKey' is not a known key of OpConfig; it is kept and has no effect"
    ]
    assert second.config == {}


OLD: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "flat-numbers": (
        {
            "vdsp_op_type": 301,
            "iimage_format": 5000,
            "resize_type": 1,
            "color_cvt_code": 2,
            "color_space": 1,
            "meanr": 14275,
            "meang": 14156,
            "meanb": 13951,
            "stdr": 13140,
            "stdg": 13099,
            "stdb": 13107,
            "norma_type": 4,
        },
        _RESIZE,
        {
            "IimageFormat": "RGB_PLANAR",
            "ResizeType": "BILINEAR_CV",
            "ColorCvtCode": "NO_CHANGE",
            "ColorSpace": "BT601",
            "Mean": [0.485107421875, 0.4560546875, 0.406005859375],
            "Std": [0.22900390625, 0.2239990234375, 0.2249755859375],
            "NormaType": "DIV255_MINUSMEAN_DIVSTD",
        },
    ),
    "flat-crop": (
        {
            "vdsp_op_type": 301,
            "crop_x": 16,
            "crop_y": 16,
            "resize_width": 256,
            "norma_type": 4,
            "meanr": 14336,
            "meang": 14336,
            "meanb": 14336,
            "stdr": 14336,
            "stdg": 14336,
            "stdb": 14336,
        },
        _CROP,
        {
            "CropX": 16,
            "CropY": 16,
            "ResizeWidth": 256,
            "NormaType": "DIV255_MINUSMEAN_DIVSTD",
            "Mean": [0.5] * 3,
            "Std": [0.5] * 3,
        },
    ),
    "property-list": (
        {
            "vdsp_op_type": "RGB_LETTERBOX_CVTCOLOR_NORMALIZATION_TENSORIZATION_U8",
            "config": [
                {"Property": "oimage_width", "DType": "INT", "ParamType": "ELEMENT", "Value": 640},
                {"Property": "padding_value_g", "Value": 100},
                {"Property": "norma_type", "Value": "DIV255"},
                {"Property": "edge_padding_type", "Value": "EDGE_PADDING_TYPE_CONSTANT"},
                {"Property": "color_cvt_code", "Value": "COLOR_NO_CHANGE"},
                {"Property": "color_space", "Value": "COLOR_SPACE_BT601"},
            ],
        },
        "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR",
        {
            "OimageWidth": 640,
            "Padding": [114, 100, 114],
            "NormaType": "DIV255",
            "EdgePaddingType": "CONSTANT",
            "ColorCvtCode": "NO_CHANGE",
            "ColorSpace": "BT601",
        },
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_old_formats(name: str, tmp_path: Path) -> None:
    data, kind, config = OLD[name]
    (params,) = _load(data, tmp_path)
    assert params.op_type == kind
    assert params.config == config
    assert any("old vdsp format" in warning.what for warning in params.warnings)
    (again,) = _load(params.to_json(), tmp_path)
    assert again.config == config


_IMAGENET = {"NormaType": "MINUSMEAN_DIVSTD", "Mean": [1, 1, 1], "Std": [127.5] * 3}
WARNED = {
    "keras-normalisation": (_IMAGENET, _RESIZE, "DIV1275_MINUSONE"),
    "bit-pattern-std": (
        {"NormaType": "MINUSMEAN_DIVSTD", "Mean": [0] * 3, "Std": [5.960464477539063e-08] * 3},
        _RESIZE,
        "subnormal|smallest normal",
    ),
    "wrong-scale": (
        {"NormaType": "DIV255_MINUSMEAN_DIVSTD", "Mean": [127.5] * 3, "Std": [127.5] * 3},
        _RESIZE,
        "0…255 scale",
    ),
    "crop-beyond": (
        {
            "NormaType": "EQUAL",
            "ResizeWidth": 256,
            "ResizeHeight": 256,
            "CropX": 40,
            "CropY": 16,
            "OimageWidth": 224,
            "OimageHeight": 224,
        },
        _CROP,
        "reach beyond ResizeWidth",
    ),
    "no-normalisation": ({}, _RESIZE, "no NormaType"),
    "misspelt-key": ({"NormaType": "EQUAL", "ResizeTyp": "BILINEAR"}, _RESIZE, "did you mean 'ResizeType'"),
    "half-a-size": ({"NormaType": "EQUAL", "OimageWidth": 8}, _RESIZE, "only one of"),
}


@pytest.mark.parametrize("name", WARNED)
def test_warnings(name: str, tmp_path: Path) -> None:
    config, kind, says = WARNED[name]
    (params,) = _load(_op(config, kind), tmp_path)
    assert any(part in warning.what for part in says.split("|") for warning in params.warnings), (
        params.remarks
    )


def test_unused_leftovers_are_no_warning(tmp_path: Path) -> None:
    (params,) = _load(_op({"NormaType": "DIV255", "Mean": [0.5] * 3, "Std": [5.96e-08] * 3}), tmp_path)
    assert not params.warnings
    assert len(params.remarks) == 1


def test_all_problems_at_once(tmp_path: Path) -> None:
    text = (
        '{\n "OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSR",\n'
        ' "OpConfig": {\n  "ResizeType": "BILINEAR_CW",\n'
        '  "OimageWidth": -1,\n  "Mean": [1, 2],\n  "ColorCvtCode": 99,\n  "NormaType": "DIV256"\n }\n}'
    )
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ErrorList) as caught:
        load_vdsp_params(tmp_path / "a.json")
    places = [(error.where or "").rsplit(":", 2)[1] for error in caught.value.errors]
    assert places == ["2", "4", "5", "6", "7", "8"]
    assert "did you mean 'BILINEAR_CV'?" in [error.hint for error in caught.value.errors]


@pytest.mark.parametrize("key", ["Mean", "Std"])
def test_normalisation_needs_both(key: str, tmp_path: Path) -> None:
    config = {"NormaType": "DIV255_MINUSMEAN_DIVSTD", "Mean": [0.5] * 3, "Std": [0.5] * 3}
    del config[key]
    with pytest.raises(ErrorList) as caught:
        _load(_op(config), tmp_path)
    assert f"needs {key}" in caught.value.errors[0].what


def test_old_numbers_that_are_not_public(tmp_path: Path) -> None:
    with pytest.raises(ErrorList) as caught:
        _load({"vdsp_op_type": 301, "norma_type": 2}, tmp_path)
    assert "not public" in caught.value.errors[0].what


def test_zoo(shared_zoo: Path) -> None:
    files = sorted(shared_zoo.rglob("*.json"))
    assert len(files) == 552
    for file in files:
        for params in load_vdsp_params(file):
            assert VdspOp.from_config(params.op_type, params.config).op_type.name == params.op_type, file
