"""vaststreamx, emulated: scripts written for VACC cards run on artifacts of `vdeploy compile`.

`vdeploy vsx SCRIPT` (or ``python -m vacc_deploy.vsx SCRIPT``) runs a script with ``import vaststreamx``
meaning this module, in processes that the script starts too. Names and behaviour are the vendor's; what the
emulation does not do raises `UnsupportedError`, which names it.
"""

from __future__ import annotations

from vacc_deploy.vsx.custom_operator import CustomOperator, register_custom_operator
from vacc_deploy.vsx.device import (
    Card,
    Context,
    Die,
    get_all_cards,
    get_all_cards_count,
    get_device,
    set_device,
)
from vacc_deploy.vsx.enums import (
    AttrKey,
    CaptureMode,
    CodecType,
    ColorCvtCode,
    GraphOutputType,
    ImageColorSpace,
    ImageFlipType,
    ImageFormat,
    ImagePaddingType,
    ImageResizeType,
    ImageType,
    ImageWarpAffineMode,
    OpType,
    StreamBalanceMode,
    TypeFlag,
)
from vacc_deploy.vsx.errors import UnsupportedError
from vacc_deploy.vsx.graph import Graph
from vacc_deploy.vsx.image import Image, as_numpy, create_image
from vacc_deploy.vsx.image_functions import (
    batch_crop_resize,
    crop,
    cvtcolor,
    resize,
    resize_copy_make_border,
    scale,
    warpaffine,
    yuvflip,
)
from vacc_deploy.vsx.media import (
    FrameAttr,
    JpegDecoder,
    JpegEncoder,
    MediaSource,
    VideoCapture,
    VideoDecoder,
    VideoEncoder,
    VideoWriter,
)
from vacc_deploy.vsx.model import Model, ModelOperator
from vacc_deploy.vsx.operator import BuildInOperator, Operator
from vacc_deploy.vsx.stream import Stream
from vacc_deploy.vsx.tensor import Tensor, from_numpy

CODEC_TYPE_H264 = CodecType.CODEC_TYPE_H264
CODEC_TYPE_H265 = CodecType.CODEC_TYPE_H265
CODEC_TYPE_HEVC = CodecType.CODEC_TYPE_HEVC
CODEC_TYPE_AV1 = CodecType.CODEC_TYPE_AV1
CODEC_TYPE_JPEG = CodecType.CODEC_TYPE_JPEG

__all__ = [
    "CODEC_TYPE_AV1",
    "CODEC_TYPE_H264",
    "CODEC_TYPE_H265",
    "CODEC_TYPE_HEVC",
    "CODEC_TYPE_JPEG",
    "AttrKey",
    "BuildInOperator",
    "CaptureMode",
    "Card",
    "CodecType",
    "ColorCvtCode",
    "Context",
    "CustomOperator",
    "Die",
    "FrameAttr",
    "Graph",
    "GraphOutputType",
    "Image",
    "ImageColorSpace",
    "ImageFlipType",
    "ImageFormat",
    "ImagePaddingType",
    "ImageResizeType",
    "ImageType",
    "ImageWarpAffineMode",
    "JpegDecoder",
    "JpegEncoder",
    "MediaSource",
    "Model",
    "ModelOperator",
    "OpType",
    "Operator",
    "Stream",
    "StreamBalanceMode",
    "Tensor",
    "TypeFlag",
    "UnsupportedError",
    "VideoCapture",
    "VideoDecoder",
    "VideoEncoder",
    "VideoWriter",
    "as_numpy",
    "batch_crop_resize",
    "create_image",
    "crop",
    "cvtcolor",
    "from_numpy",
    "get_all_cards",
    "get_all_cards_count",
    "get_device",
    "register_custom_operator",
    "resize",
    "resize_copy_make_border",
    "scale",
    "set_device",
    "warpaffine",
    "yuvflip",
]
