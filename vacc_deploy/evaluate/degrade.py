"""GPEN's test degradation: blur, shrink, noise, JPEG, enlarge (the chain of GFPGAN, Wang et al. 2021).

The published test set was made without a seed and cannot be made again.  Here every picture has its own
generator, seeded by its name, so that a picture comes out the same whatever else lies in the folder.
"""

from __future__ import annotations

import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import resize

SEED = 2021
_KERNEL = 41
_SIGMA = (0.1, 10.0)
_SHRINK = (0.8, 8.0)
_NOISE = (0.0, 20.0)
_QUALITY = (60.0, 100.0)
_FILE_QUALITY = 95  # the degraded picture is stored as JPEG


def degrade_face(rgb: NDArray[np.uint8], name: str, seed: int = SEED) -> NDArray[np.uint8]:
    """The low-quality version of a picture, of the same size.

    Args:
        rgb: H×W×3, uint8.
        name: The picture's name; together with `seed` it fixes every random draw.
        seed: Another seed makes another test set.
    """
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    height, width = rgb.shape[:2]
    picture = cv2.filter2D(rgb.astype(np.float32) / 255.0, -1, _blur_kernel(random))
    shrink = random.uniform(*_SHRINK)
    small = (max(1, int(height / shrink)), max(1, int(width / shrink)))
    picture = resize(picture, small, "bilinear_cv")
    sigma = random.uniform(*_NOISE) / 255.0
    picture = np.clip(
        picture + random.standard_normal(picture.shape, np.float32) * np.float32(sigma), 0.0, 1.0
    )
    picture = jpeg(np.rint(picture * 255.0).astype(np.uint8), int(random.uniform(*_QUALITY)))
    picture = resize(picture.astype(np.float32), (height, width), "bilinear_cv")
    return jpeg(np.clip(np.rint(picture), 0, 255).astype(np.uint8), _FILE_QUALITY)


def jpeg(rgb: NDArray[np.uint8], quality: int = _FILE_QUALITY) -> NDArray[np.uint8]:
    """The picture after a JPEG round trip."""
    _, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[:, :, ::-1])


def _blur_kernel(random: np.random.Generator) -> NDArray[np.float32]:
    """A 41×41 Gaussian: round or elliptic with equal probability, at any angle."""
    sigma_x = random.uniform(*_SIGMA)
    sigma_y, angle = sigma_x, 0.0
    if random.random() >= 0.5:
        sigma_y, angle = random.uniform(*_SIGMA), random.uniform(-np.pi, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)
    axis = np.arange(_KERNEL) - _KERNEL // 2
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)  # (41, 41, 2)
    kernel = np.exp(-0.5 * np.einsum("yxi,ij,yxj->yx", grid, inverse, grid))
    normalised: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normalised
