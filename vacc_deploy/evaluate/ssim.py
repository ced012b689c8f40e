"""Structural similarity in the two forms that the vendor's scripts use; their values are not comparable."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import DataError

_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2
_GAUSSIAN = (11, 1.5)  # window, sigma
_UNIFORM = 7


def ssim_gaussian(first: NDArray[Any], second: NDArray[Any]) -> float:
    """SSIM with an 11×11 Gaussian window (σ 1.5), without the outer 5 pixels, mean over all.

    Wang et al. 2004, as vamp_eval and most super-resolution code compute it.

    Args:
        first: H×W or H×W×C, values 0 … 255.
        second: The same shape.

    Raises:
        DataError: The pictures are smaller than the window.
    """
    kernel = cv2.getGaussianKernel(*_GAUSSIAN)
    edge = _GAUSSIAN[0] // 2

    def window(values: NDArray[np.float64]) -> NDArray[np.float64]:
        filtered: NDArray[np.float64] = cv2.sepFilter2D(values, cv2.CV_64F, kernel, kernel)
        return filtered[edge:-edge, edge:-edge]

    return _ssim(first, second, window, _GAUSSIAN[0], correction=1.0)


def ssim_uniform(first: NDArray[Any], second: NDArray[Any]) -> float:
    """SSIM with a 7×7 uniform window and sample covariance: scikit-image's default on uint8.

    Args:
        first: H×W or H×W×C, values 0 … 255.
        second: The same shape.

    Raises:
        DataError: The pictures are smaller than the window.
    """
    edge, pixels = _UNIFORM // 2, _UNIFORM * _UNIFORM

    def window(values: NDArray[np.float64]) -> NDArray[np.float64]:
        filtered: NDArray[np.float64] = cv2.blur(values, (_UNIFORM, _UNIFORM))
        return filtered[edge:-edge, edge:-edge]

    return _ssim(first, second, window, _UNIFORM, correction=pixels / (pixels - 1))


def _ssim(first: NDArray[Any], second: NDArray[Any], window: Any, width: int, correction: float) -> float:
    if min(first.shape[:2]) < width:
        size = f"{first.shape[1]}x{first.shape[0]}"
        raise DataError(f"SSIM needs pictures of at least {width}x{width} pixels, not {size}")
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = window(x), window(y)
    var_x = correction * (window(x * x) - mean_x * mean_x)
    var_y = correction * (window(y * y) - mean_y * mean_y)
    covariance = correction * (window(x * y) - mean_x * mean_y)
    numerator = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    denominator = (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    return float(np.mean(numerator / denominator))
