"""The names of the vdsp's operators, and what runs under each name.

A fusion op's name is its order of work: RESIZE_CVTCOLOR_CROP_NORM_TENSOR resizes, converts the colour,
crops, normalises, writes a tensor.
"""

from __future__ import annotations

from vacc_deploy.errors import ConfigError
from vacc_deploy.runtime.vdsp.vendor_enum import VendorEnum

FIRST_FUSION_OP = 100  # `op.op_type >= 100` is how vaststreamx scripts recognise a fusion op


class OpType(VendorEnum):
    """Operators of the vdsp.  Only the order relative to 100 is the vendor's; the numbers are ours."""

    SINGLE_OP_RESIZE = 1
    SINGLE_OP_CROP = 2
    SINGLE_OP_CVT_COLOR = 3
    SINGLE_OP_BATCH_CROP_RESIZE = 4
    SINGLE_OP_WARP_AFFINE = 5
    SINGLE_OP_FLIP = 6
    SINGLE_OP_SCALE = 7
    SINGLE_OP_COPY_MAKE_BORDER = 8
    BERT_EMBEDDING_OP = 50
    FUSION_OP_YUV_NV12_RESIZE_2RGB_NORM_TENSOR = 100
    FUSION_OP_YUV_NV12_CVTCOLOR_RESIZE_NORM_TENSOR = 101
    FUSION_OP_YUV_NV12_RESIZE_CVTCOLOR_CROP_NORM_TENSOR = 102
    FUSION_OP_YUV_NV12_CROP_CVTCOLOR_RESIZE_NORM_TENSOR = 103
    FUSION_OP_YUV_NV12_CVTCOLOR_RESIZE_CROP_NORM_TENSOR = 104
    FUSION_OP_YUV_NV12_CVTCOLOR_LETTERBOX_NORM_TENSOR = 105
    FUSION_OP_YUV_NV12_LETTERBOX_2RGB_NORM_TENSOR = 106
    FUSION_OP_RGB_CVTCOLOR_NORM_TENSOR = 107
    FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR = 108
    FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR = 109
    FUSION_OP_RGB_CROP_RESIZE_CVTCOLOR_NORM_TENSOR = 110
    FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR = 111
    FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT = 112

    @property
    def is_fusion(self) -> bool:
        """Whether the op ends in an fp16 tensor; the single ops end in uint8 pictures."""
        return self >= FIRST_FUSION_OP

    @property
    def takes_nv12(self) -> bool:
        """Whether the op starts from YUV_NV12 pictures."""
        return self.name.startswith("FUSION_OP_YUV_NV12_")

    @property
    def steps(self) -> tuple[str, ...]:
        """A fusion op's words in order, without source and ending: ``("RESIZE", "CVTCOLOR", "CROP")``."""
        words = self.name.removesuffix("_EXT").removesuffix("_NORM_TENSOR").removeprefix("FUSION_OP_")
        return tuple(words.removeprefix("YUV_NV12_").removeprefix("RGB_").split("_"))

    @classmethod
    def parse(cls, name: str) -> OpType:
        """The op of that name.

        Raises:
            ConfigError: There is none.
        """
        try:
            return cls[name]
        except KeyError:
            raise ConfigError(
                f"unknown vdsp op '{name}'", hint=f"one of {', '.join(cls.__members__)}"
            ) from None
