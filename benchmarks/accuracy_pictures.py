"""Pictures to calibrate and to search on that are in no test set: scikit-image's photographs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

# Bundled with scikit-image, so nothing is downloaded. The first six are also what --max-drop scores on.
NAMES = (
    "astronaut", "chelsea", "coffee", "rocket", "camera", "motorcycle_left", "immunohistochemistry",
    "hubble_deep_field", "retina", "coins", "page", "text", "moon", "clock", "brick", "grass",
)  # fmt: skip


def photographs() -> Iterator[tuple[str, Picture]]:
    """Name and centre square, uint8 RGB, of every photograph that this scikit-image has."""
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    for name in NAMES:
        path = next(
            (p for p in folder.glob(f"{_FILES.get(name, name)}.*") if p.suffix in (".png", ".jpg")), None
        )
        picture = None if path is None else cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            continue
        side = min(picture.shape[:2])
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        yield name, np.ascontiguousarray(picture[top : top + side, left : left + side, ::-1])


_FILES = {"immunohistochemistry": "ihc", "clock": "clock_motion"}


def write_pairs(folder: Path, network: str, scale: int) -> tuple[Path, Path]:
    """Low-resolution pictures and their ground truth for one network, written once.

    VDSR gets pictures enlarged again by bicubic interpolation, 512×512, as Set5 scale 4 is; LESRCNN gets
    128×128 and a ground truth of `scale` times that.

    Returns:
        The two folders.
    """
    low_folder, high_folder = folder / "lr", folder / "hr"
    if low_folder.is_dir() and high_folder.is_dir():
        return low_folder, high_folder
    low_folder.mkdir(parents=True, exist_ok=True)
    high_folder.mkdir(parents=True, exist_ok=True)
    for index, (name, picture) in enumerate(photographs()):
        side = 512 if network == "vdsr" else 128 * scale
        high = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        low = cv2.resize(high, (side // scale, side // scale), interpolation=cv2.INTER_AREA)
        if network == "vdsr":
            low = cv2.resize(low, (side, side), interpolation=cv2.INTER_CUBIC)
        for target, content in ((low_folder, low), (high_folder, high)):
            cv2.imwrite(str(target / f"{index:02}_{name}.png"), content[..., ::-1])
    return low_folder, high_folder
