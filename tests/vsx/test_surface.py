"""Every name of vaststreamx that the vendor's public scripts use, and every way they call it.

Taken from all 259 Python files of VastModelZOO and VastStreamX-Samples that import the module.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from vacc_deploy import vsx

# Enumeration → members.
MEMBERS: dict[str, str] = {
    "AttrKey":
        "IIMAGE_FORMAT IIMAGE_WIDTH IIMAGE_HEIGHT IIMAGE_WIDTH_PITCH IIMAGE_HEIGHT_PITCH "
        "OIMAGE_FORMAT OIMAGE_WIDTH OIMAGE_HEIGHT OIMAGE_WIDTH_PITCH OIMAGE_HEIGHT_PITCH OIMAGE_CNT "
        "RESIZE_TYPE RESIZE_WIDTH RESIZE_HEIGHT CROP_X CROP_Y CROP_WIDTH CROP_HEIGHT CROP_NUM "
        "PADDING PADDING_LEFT PADDING_RIGHT PADDING_TOP PADDING_BOTTOM EDGE_PADDING_TYPE EDGE_LEFT "
        "EDGE_RIGHT EDGE_TOP EDGE_BOTTOM COLOR_CVT_CODE COLOR_SPACE DIRECTION FLAGS BORDER_MODE "
        "BORDER_VALUE M",
    "CaptureMode": "FULLSPEED_MODE",
    "CodecType": "CODEC_TYPE_AV1 CODEC_TYPE_H264 CODEC_TYPE_H265 CODEC_TYPE_HEVC CODEC_TYPE_JPEG",
    "ColorCvtCode":
        "YUV2RGB_NV12 YUV2BGR_NV12 NO_CHANGE BGR2RGB BGR2RGB_INTERLEAVE2PLANAR "
        "RGB2BGR_INTERLEAVE2PLANAR BGR2BGR_INTERLEAVE2PLANAR RGB2RGB_INTERLEAVE2PLANAR "
        "YUV2GRAY_NV12 BGR2GRAY_INTERLEAVE BGR2GRAY_PLANAR RGB2GRAY_INTERLEAVE RGB2GRAY_PLANAR "
        "RGB2YUV_NV12_PLANAR BGR2YUV_NV12_PLANAR RGB2BGR",
    "GraphOutputType":
        "GRAPH_OUTPUT_TYPE_NCHW_DEVICE GRAPH_OUTPUT_TYPE_NCHW_HOST GRAPH_OUTPUT_TYPE_884_DEVICE",
    "ImageColorSpace": "COLOR_SPACE_BT601 COLOR_SPACE_BT709",
    "ImageFlipType": "FLIP_TYPE_X_AXIS FLIP_TYPE_Y_AXIS",
    "ImageFormat": "YUV_NV12 RGB_PLANAR BGR_PLANAR RGB_INTERLEAVE BGR_INTERLEAVE GRAY",
    "ImagePaddingType": "PADDING_TYPE_CONSTANT",
    "ImageResizeType": "NEAREST BILINEAR BILINEAR_CV BILINEAR_PILLOW BICUBIC_PILLOW",
    "ImageType": "YUV_NV12 RGB_PLANAR BGR_PLANAR RGB888 BGR888 GRAY",
    "ImageWarpAffineMode": "WARP_AFFINE_MODE_NEAREST WARP_AFFINE_MODE_BILINEAR",
    "OpType":
        "BERT_EMBEDDING_OP SINGLE_OP_RESIZE SINGLE_OP_CROP SINGLE_OP_CVT_COLOR "
        "SINGLE_OP_BATCH_CROP_RESIZE SINGLE_OP_WARP_AFFINE SINGLE_OP_FLIP SINGLE_OP_SCALE "
        "SINGLE_OP_COPY_MAKE_BORDER FUSION_OP_RGB_CVTCOLOR_NORM_TENSOR "
        "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR "
        "FUSION_OP_RGB_CROP_RESIZE_CVTCOLOR_NORM_TENSOR "
        "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR "
        "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT "
        "FUSION_OP_YUV_NV12_RESIZE_2RGB_NORM_TENSOR FUSION_OP_YUV_NV12_CVTCOLOR_RESIZE_NORM_TENSOR "
        "FUSION_OP_YUV_NV12_RESIZE_CVTCOLOR_CROP_NORM_TENSOR "
        "FUSION_OP_YUV_NV12_CROP_CVTCOLOR_RESIZE_NORM_TENSOR "
        "FUSION_OP_YUV_NV12_CVTCOLOR_RESIZE_CROP_NORM_TENSOR "
        "FUSION_OP_YUV_NV12_CVTCOLOR_LETTERBOX_NORM_TENSOR "
        "FUSION_OP_YUV_NV12_LETTERBOX_2RGB_NORM_TENSOR",
    "StreamBalanceMode": "ONCE RUN",
    "TypeFlag": "FLOAT16 FLOAT32 UINT8 UINT16 UINT32 INT8 INT16 INT32",
}  # fmt: skip

# Callable → the forms it is called in: (positional arguments, keywords).
CALLS: dict[str, list[tuple[int, str]]] = {
    "BuildInOperator": [(1, "")],
    "Context.CPU": [(0, "")],
    "Die": [(1, "")],
    "FrameAttr": [(0, "")],
    "Graph": [(0, ""), (0, "do_copy"), (0, "output_type"), (1, ""), (2, "")],
    "Model": [(1, ""), (1, "batch_size"), (2, ""), (3, "")],
    "ModelOperator": [(1, "")],
    "Operator": [(1, "")],
    "Operator.load_ops_from_json_file": [(1, "")],
    "Stream": [(1, ""), (2, "")],
    "CustomOperator": [(0, "op_name elf_file_path"), (2, "")],
    "as_numpy": [(1, "")],
    "batch_crop_resize": [(3, "resize_width resize_height")],
    "create_image": [
        (0, "array format width height device_id"), (5, ""), (0, "rawdata_path format width height")
    ],
    "crop": [(2, "")],
    "cvtcolor": [(2, ""), (3, "")],
    "from_numpy": [(2, "")],
    "get_all_cards": [(0, "")],
    "get_all_cards_count": [(0, "")],
    "resize": [(2, "resize_width resize_height"), (4, "")],
    "resize_copy_make_border": [
        (0, "image resize_type resize_width resize_height padding_type padding_values padding_edges"),
        (6, "padding_edges"),
    ],
    "scale": [(3, "")],
    "set_device": [(1, "")],
    "warpaffine": [(1, "matrix mode border_mode value")],
    "yuvflip": [(2, "")],
    # Methods; the first positional argument is the object.
    "Graph.add_operators": [(2, ""), (3, ""), (4, "")],
    "Stream.register_operator_output": [(2, ""), (3, ""), (4, "")],
    "Stream.build": [(1, "")],
    "Stream.run_async": [(2, ""), (3, "")],
    "Stream.run_sync": [(2, ""), (3, "")],
    "Stream.get_operator_output": [(2, "")],
    "Stream.close_input": [(1, "")],
    "Stream.wait_until_done": [(1, "")],
    "Model.set_input_shape": [(2, "")],
    "Model.set_batch_size": [(2, "")],
    "Operator.cast_to_buildin_operator": [(1, "")],
    "Operator.get_attribute": [(2, ""), (3, "")],
    "Operator.set_attribute": [(2, "")],
    "Operator.execute": [(3, ""), (1, "tensors output_info")],
    "BuildInOperator.execute": [(3, "")],
    "CustomOperator.set_config": [(1, "config_bytes config_size")],
    "CustomOperator.set_callback_info": [(3, "")],
    "CustomOperator.run_sync": [(1, "tensors config output_info")],
    "CustomOperator.execute": [(1, "tensors output_info")],
}  # fmt: skip

# Class → attributes that are read.
ATTRIBUTES: dict[str, str] = {
    "Image": "width height format shape widthpitch heightpitch",
    "Tensor": "shape size addr",
    "Model": "input_shape output_shape input_count output_count max_batch_size address",
    "Operator": "op_type attributes",
    "Die": "device_id temperature power memory utilization",
    "Card": "uuid card_type dies",
    "FrameAttr": "frame_pts frame_dts",
}

# The card's media engines: there to be asked for, and to say that they are missing.
MEDIA = (
    "VideoCapture", "VideoWriter", "VideoDecoder", "VideoEncoder", "JpegDecoder", "JpegEncoder",
    "MediaSource",
)  # fmt: skip


def _find(name: str) -> Any:
    found: Any = vsx
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", MEMBERS)
def test_enumerations_have_their_members(name: str) -> None:
    missing = set(MEMBERS[name].split()) - set(_find(name).__members__)
    assert not missing


@pytest.mark.parametrize("name", [name for name in MEMBERS if not name.startswith("AttrKey")])
def test_members_are_numbers_printed_by_name(name: str) -> None:
    for member in _find(name):
        assert str(member) == f"{member}" == f"{type(member).__name__}.{member.name}"
        assert f"{member:d}" == json.dumps(member) == str(int(member))


@pytest.mark.parametrize(
    ("name", "positional", "keywords"),
    [(name, *form) for name, forms in CALLS.items() for form in forms],
    ids=lambda value: str(value) or "-",
)
def test_calls_are_accepted_as_written(name: str, positional: int, keywords: str) -> None:
    inspect.signature(_find(name)).bind(*[None] * positional, **dict.fromkeys(keywords.split()))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_objects_have_their_attributes(name: str) -> None:
    cls = _find(name)
    known = {*dir(cls), *getattr(cls, "__annotations__", {})}
    assert not set(ATTRIBUTES[name].split()) - known


@pytest.mark.parametrize("name", MEDIA)
def test_media_engines_are_refused_by_name(name: str) -> None:
    with pytest.raises(vsx.UnsupportedError, match=name):
        _find(name)(0)


def test_members_are_found_without_their_enumeration_too() -> None:
    assert (vsx.CODEC_TYPE_H264, vsx.CODEC_TYPE_HEVC) == (0, 1)


def test_everything_public_is_listed() -> None:
    public = {
        name for name, value in vars(vsx).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert public - {"annotations"} == set(vsx.__all__)
