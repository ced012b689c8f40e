"""Colour conversions of pictures by their OpenCV names, as `CvtColor` writes them in a build YAML."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import ConfigError

# Name → what it needs; the codes are OpenCV's, on 8-bit pictures (full-range YCrCb, BT.601 weights).
_CODES: dict[str, int] = {
    name: int(getattr(cv2, name))
    for name in (
        "COLOR_RGB2BGR", "COLOR_BGR2RGB", "COLOR_RGB2YCrCb", "COLOR_BGR2YCrCb", "COLOR_YCrCb2RGB",
        "COLOR_YCrCb2BGR", "COLOR_RGB2YUV", "COLOR_BGR2YUV", "COLOR_RGB2GRAY", "COLOR_BGR2GRAY",
        "COLOR_GRAY2RGB", "COLOR_GRAY2BGR", "COLOR_RGB2HSV", "COLOR_BGR2HSV", "COLOR_RGB2LAB",
        "COLOR_BGR2LAB",
    )
}  # fmt: skip
COLOR_CODES: tuple[str, ...] = tuple(_CODES)


def convert_color(image: NDArray[np.uint8], code: str) -> NDArray[np.uint8]:
    """Convert an H×W×C uint8 picture by an OpenCV colour code's name (``COLOR_RGB2YCrCb``).

    Raises:
        ConfigError: The code is unknown, or the picture has the wrong number of channels for it.
    """
    if code not in _CODES:
        raise ConfigError(f"unknown colour conversion '{code}'", hint=f"one of {', '.join(COLOR_CODES)}")
    wanted = 1 if code.startswith("COLOR_GRAY2") else 3
    if image.shape[2] != wanted:
        raise ConfigError(f"{code} needs {wanted} channel(s), the picture has {image.shape[2]} at this point")
    converted: NDArray[Any] = cv2.cvtColor(image, _CODES[code])
    return converted if converted.ndim == 3 else converted[:, :, np.newaxis]


def luma(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The full-range Y plane (H×W) of an RGB picture as OpenCV computes it for 8 bits."""
    plane: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)[:, :, 0]
    return np.ascontiguousarray(plane)
