"""Pictures as the card holds them: 8-bit pixels and the layout they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp.vendor_enum import VendorEnum


class ImageFormat(VendorEnum):
    """Layouts of 8-bit pictures with the numbers that the vendor's files use."""

    YUV_NV12 = 0  # (H·3/2, W): the Y plane, then U and V interleaved at half size
    RGB_PLANAR = 5000  # (3, H, W)
    BGR_PLANAR = 5001
    RGB_INTERLEAVE = 5002  # (H, W, 3)
    BGR_INTERLEAVE = 5003
    GRAY = 5004  # (H, W)
    RGB888 = 5002
    BGR888 = 5003

    @classmethod
    def parse(cls, value: str | int) -> ImageFormat:
        """The format of a name or number in a vdsp JSON.

        Raises:
            RunError: There is no such format.
        """
        try:
            return cls[value] if isinstance(value, str) else cls(value)
        except (KeyError, ValueError):
            known = ", ".join(cls.__members__)
            raise RunError(f"unknown image format {value!r}", hint=f"one of {known}") from None


PLANAR = (ImageFormat.RGB_PLANAR, ImageFormat.BGR_PLANAR)
INTERLEAVED = (ImageFormat.RGB_INTERLEAVE, ImageFormat.BGR_INTERLEAVE)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: uint8 pixels of the shape that its format prescribes.

    Raises:
        RunError: Shape or dtype do not fit the format.
    """

    array: NDArray[np.uint8]
    format: ImageFormat

    def __post_init__(self) -> None:
        shape, kind = self.array.shape, self.format
        if self.array.dtype != np.uint8:
            raise RunError(f"an image holds uint8 pixels, not {self.array.dtype}")
        if kind in PLANAR:
            fits, rule = len(shape) == 3 and shape[0] == 3, "(3, height, width)"
        elif kind in INTERLEAVED:
            fits, rule = len(shape) == 3 and shape[2] == 3, "(height, width, 3)"
        elif kind == ImageFormat.GRAY:
            fits, rule = len(shape) == 2, "(height, width)"
        else:
            fits = len(shape) == 2 and shape[0] % 3 == 0 and shape[1] % 2 == 0
            rule = "(height·3/2, width) with even sides"
        if not fits or 0 in shape:
            raise RunError(f"an image of format {kind.name} has shape {rule}, not {shape}")

    @property
    def height(self) -> int:
        """Rows of pixels."""
        rows = int(self.array.shape[1] if self.format in PLANAR else self.array.shape[0])
        return rows * 2 // 3 if self.format == ImageFormat.YUV_NV12 else rows

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.array.shape[2] if self.format in PLANAR else self.array.shape[1])

    def planes(self, count: int = 3) -> list[NDArray[np.uint8]]:
        """The first `count` colour planes (H×W) as they lie; gray counts as three equal ones.

        Raises:
            RunError: The picture is NV12, which has no colour planes before a conversion.
        """
        if self.format == ImageFormat.YUV_NV12:
            raise RunError(
                "an NV12 picture has no RGB planes", hint="use a FUSION_OP_YUV_NV12_* op, or convert it"
            )
        if self.format == ImageFormat.GRAY:
            return [self.array] * count
        if self.format in PLANAR:
            return [self.array[channel] for channel in range(count)]
        return [cv2.extractChannel(self.array, channel) for channel in range(count)]

    @classmethod
    def from_planes(cls, planes: list[NDArray[Any]], kind: ImageFormat) -> Image:
        """A planar, interleaved or gray picture of these planes."""
        if kind == ImageFormat.GRAY:
            return cls(planes[0], kind)
        return cls(np.stack(planes, axis=0 if kind in PLANAR else 2), kind)
