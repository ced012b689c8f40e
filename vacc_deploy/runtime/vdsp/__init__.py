"""The card's image processor, emulated: pictures in, fp16 network inputs out."""

from vacc_deploy.runtime.vdsp.image import Image, ImageFormat
from vacc_deploy.runtime.vdsp.op import VdspOp
from vacc_deploy.runtime.vdsp.op_type import OpType
from vacc_deploy.runtime.vdsp.settings import ColorCvtCode, OpSettings, ResizeType

__all__ = ["ColorCvtCode", "Image", "ImageFormat", "OpSettings", "OpType", "ResizeType", "VdspOp"]
