"""Every way this package changes the size of a picture; nothing else in it calls a resize function.

OpenCV and Pillow disagree about "bilinear": OpenCV interpolates between the two nearest pixels whatever the
ratio, Pillow widens its kernel when it shrinks (anti-aliasing).  The card's ResizeType names which one is
meant, and the difference costs several dB, so the name is never dropped on the way.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

ResizeMethod: TypeAlias = Literal[
    "nearest", "bilinear_cv", "bicubic_cv", "area_cv", "nearest_pillow", "bilinear_pillow", "bicubic_pillow"
]

_CV2_FLAGS: dict[str, int] = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear_cv": cv2.INTER_LINEAR,
    "bicubic_cv": cv2.INTER_CUBIC,
    "area_cv": cv2.INTER_AREA,
}
_PILLOW_FILTERS = {"nearest_pillow": 0, "bilinear_pillow": 2, "bicubic_pillow": 3}  # PIL.Image.Resampling
_PILLOW_CHANNELS = (1, 3)

RESIZE_METHODS: tuple[str, ...] = (*_CV2_FLAGS, *_PILLOW_FILTERS)


def resize(image: NDArray[Any], size: tuple[int, int], method: ResizeMethod) -> NDArray[Any]:
    """Resize a picture without keeping its aspect ratio.

    Args:
        image: H×W or H×W×C.  uint8 for every method; the OpenCV methods take float32 too.
        size: (height, width) of the result, pixels.
        method: Kernel and library, see the module's docstring.

    Returns:
        The picture with the same dtype and number of axes; `image` itself where the size already fits.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    if method in _CV2_FLAGS:
        resized: NDArray[Any] = cv2.resize(image, (width, height), interpolation=_CV2_FLAGS[method])
    else:
        resized = _pillow_resize(image, size, _PILLOW_FILTERS[method])
    return resized.reshape(height, width, *image.shape[2:])


def _pillow_resize(image: NDArray[Any], size: tuple[int, int], resampling: int) -> NDArray[Any]:
    from PIL import Image

    if image.dtype != np.uint8:
        raise TypeError(f"Pillow's kernels are defined on uint8 pictures, not {image.dtype}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels not in _PILLOW_CHANNELS:  # Pillow would read 4 as RGBA and premultiply
        planes = [_pillow_resize(image[:, :, c], size, resampling) for c in range(channels)]
        return np.stack(planes, axis=2)
    plane = image[:, :, 0] if image.ndim == 3 and channels == 1 else image
    source = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(source.resize((size[1], size[0]), Image.Resampling(resampling)))
