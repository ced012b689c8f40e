"""The enumerations of vaststreamx.

Numbers are the vendor's where its files and scripts show them (image formats, colour codes); scripts use
the others by name only. All members but AttrKey's compare equal to ints, because scripts compare them so.
"""

from __future__ import annotations

from enum import Enum, auto

from vacc_deploy.runtime.vdsp import ColorCvtCode, ImageFormat, OpType
from vacc_deploy.runtime.vdsp import ResizeType as ImageResizeType
from vacc_deploy.runtime.vdsp.vendor_enum import VendorEnum

__all__ = [
    "AttrKey",
    "CaptureMode",
    "CodecType",
    "ColorCvtCode",
    "GraphOutputType",
    "ImageColorSpace",
    "ImageFlipType",
    "ImageFormat",
    "ImagePaddingType",
    "ImageResizeType",
    "ImageType",
    "ImageWarpAffineMode",
    "OpType",
    "StreamBalanceMode",
    "TypeFlag",
]

# Operator attributes call the same layouts RGB888 and BGR888; the numbers are the same.
ImageType = ImageFormat


class TypeFlag(VendorEnum):
    """Element type of a tensor."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT16 = 6
    FLOAT32 = 7
    FLOAT = 7
    UINT64 = 8
    INT64 = 9


class StreamBalanceMode(VendorEnum):
    """How a stream spreads work over a die; without effect in the emulation."""

    ONCE = 0
    RUN = 1


class GraphOutputType(VendorEnum):
    """Where and how a graph leaves its outputs; the emulation always hands out NCHW in host memory."""

    GRAPH_OUTPUT_TYPE_NCHW_DEVICE = 0
    GRAPH_OUTPUT_TYPE_NCHW_HOST = 1
    GRAPH_OUTPUT_TYPE_884_DEVICE = 2


class ImagePaddingType(VendorEnum):
    """What fills the border."""

    PADDING_TYPE_CONSTANT = 0


class ImageFlipType(VendorEnum):
    """Axis around which an image is turned over."""

    FLIP_TYPE_X_AXIS = 0  # top becomes bottom
    FLIP_TYPE_Y_AXIS = 1  # left becomes right


class ImageWarpAffineMode(VendorEnum):
    """Kernel of an affine warp."""

    WARP_AFFINE_MODE_NEAREST = 0
    WARP_AFFINE_MODE_BILINEAR = 1


class ImageColorSpace(VendorEnum):
    """YUV matrix."""

    COLOR_SPACE_BT709 = 0
    COLOR_SPACE_BT601 = 1


class CodecType(VendorEnum):
    """Video and picture codecs of the card's media engines; none is emulated."""

    CODEC_TYPE_H264 = 0
    CODEC_TYPE_H265 = 1
    CODEC_TYPE_HEVC = 1
    CODEC_TYPE_AV1 = 2
    CODEC_TYPE_JPEG = 3


class CaptureMode(VendorEnum):
    """Pace of a video capture."""

    FULLSPEED_MODE = 0
    LIVE_MODE = 1


class AttrKey(Enum):
    """Keys of an operator's attributes; the vdsp JSON writes the same words in CamelCase."""

    IIMAGE_FORMAT = auto()
    IIMAGE_WIDTH = auto()
    IIMAGE_HEIGHT = auto()
    IIMAGE_WIDTH_PITCH = auto()
    IIMAGE_HEIGHT_PITCH = auto()
    OIMAGE_FORMAT = auto()
    OIMAGE_WIDTH = auto()
    OIMAGE_HEIGHT = auto()
    OIMAGE_WIDTH_PITCH = auto()
    OIMAGE_HEIGHT_PITCH = auto()
    OIMAGE_CNT = auto()
    RESIZE_TYPE = auto()
    RESIZE_WIDTH = auto()
    RESIZE_HEIGHT = auto()
    CROP_X = auto()
    CROP_Y = auto()
    CROP_WIDTH = auto()
    CROP_HEIGHT = auto()
    CROP_NUM = auto()
    PADDING = auto()
    PADDING_LEFT = auto()
    PADDING_RIGHT = auto()
    PADDING_TOP = auto()
    PADDING_BOTTOM = auto()
    EDGE_PADDING_TYPE = auto()
    EDGE_LEFT = auto()
    EDGE_RIGHT = auto()
    EDGE_TOP = auto()
    EDGE_BOTTOM = auto()
    COLOR_CVT_CODE = auto()
    COLOR_SPACE = auto()
    NORMA_TYPE = auto()
    MEAN = auto()
    STD = auto()
    DIRECTION = auto()
    FLAGS = auto()
    BORDER_VALUE = auto()
    BORDER_MODE = auto()
    M = auto()
