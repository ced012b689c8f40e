"""Where a picture lies inside the frame that keeps its aspect ratio: the geometry of letterbox and Pad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PadMode = Literal["constant", "edge", "symmetric", "reflect"]
PADDING_VALUE = 114  # what the card's letterbox fills with when the file names no colour


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture of `height`×`width` pixels inside a frame, with these borders around it (pixels)."""

    height: int
    width: int
    top: int
    bottom: int
    left: int
    right: int


def centre(height: int, width: int, frame: tuple[int, int]) -> Letterbox:
    """The borders that centre a picture in a frame (height, width); an odd pixel goes to bottom and right."""
    top, left = (frame[0] - height) // 2, (frame[1] - width) // 2
    return Letterbox(height, width, top, frame[0] - height - top, left, frame[1] - width - left)


def fit(height: int, width: int, frame: tuple[int, int]) -> Letterbox:
    """The largest picture of this aspect ratio that fits the frame, centred; sides are rounded."""
    ratio = min(frame[0] / height, frame[1] / width)
    fitted = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    return centre(min(fitted[0], frame[0]), min(fitted[1], frame[1]), frame)


def pad(
    image: NDArray[Any], box: Letterbox, value: tuple[int, ...], mode: PadMode = "constant"
) -> NDArray[Any]:
    """The picture (H×W or H×W×C) with borders.

    Args:
        image: Already of `box.height`×`box.width` pixels.
        box: The borders.
        value: One number, or one per channel; only constant borders have a colour.
        mode: NumPy's names: ``edge`` repeats the last pixel, ``symmetric`` mirrors it too, ``reflect`` not.
    """
    if mode != "constant":
        widths = [(box.top, box.bottom), (box.left, box.right), (0, 0)]
        return np.pad(image, widths[: image.ndim], mode=mode)
    frame = (box.top + box.height + box.bottom, box.left + box.width + box.right)
    padded = np.empty((*frame, *image.shape[2:]), image.dtype)
    padded[...] = np.asarray(value if image.ndim == 3 else value[:1], image.dtype)
    padded[box.top : box.top + box.height, box.left : box.left + box.width] = image
    return padded
