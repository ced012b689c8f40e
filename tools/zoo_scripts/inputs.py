"""Pictures under the names that each script looks for, from scikit-image's bundled set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from cases import Pictures

# Naming → (suffix of low-resolution files, suffix of originals, size ratio, folder of the former)
_NAMINGS: dict[Pictures, tuple[str, str, int, str]] = {
    "jpg": (".jpg", ".jpg", 1, "lr"),
    "png": (".png", ".png", 8, "lr"),
    "x2": ("x2.png", ".png", 2, "lr"),
    "x4": ("x4.png", ".png", 4, "X4"),  # real_esrgan looks for a folder of this name
    "scale_4": ("_scale_4.bmp", ".bmp", 1, "lr"),
}


def write_inputs(work: Path) -> None:
    """Write every kind of input that the cases name below `work`."""
    from skimage import data

    pictures = {"astronaut": data.astronaut(), "chelsea": data.chelsea(), "coffee": data.coffee()}
    pictures = {
        name: rgb[: len(rgb) // 8 * 8, : rgb.shape[1] // 8 * 8, ::-1] for name, rgb in pictures.items()
    }
    for naming, (small, large, ratio, _) in _NAMINGS.items():
        for limit in (1, 2):
            lr, hr = folders(work, naming, limit)
            for name, bgr in list(pictures.items())[:limit]:
                _write(lr / f"{name}{small}", cv2.resize(bgr, None, fx=1 / ratio, fy=1 / ratio))
                _write(hr / f"{name}{large}", bgr)
    for name, bgr in pictures.items():
        _write(work / "photos" / f"{name}.jpg", bgr)
        _write(work / "imagenet" / "n00000001" / f"{name}.JPEG", bgr)
    (work / "labels.txt").write_text("".join(f"class {index}\n" for index in range(1000)))
    (work / "orientation.txt").write_text("photos/astronaut.jpg 0\nphotos/coffee.jpg 1\n")
    np.savez(work / "tokens.npz", input_ids=np.arange(12, dtype=np.int32).reshape(1, 12))


def folders(work: Path, naming: Pictures, limit: int) -> tuple[Path, Path]:
    """Folders of low-resolution pictures and of originals."""
    base = work / "pictures" / f"{naming}_{limit}"
    return base / _NAMINGS[naming][3], base / "hr"


def _write(path: Path, bgr: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), bgr)
