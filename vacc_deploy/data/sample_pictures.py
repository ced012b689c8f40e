"""The pictures that every installation has: scikit-image's own, CC0 or in the public domain.

They stand in for a calibration set where a shipped build configuration still holds the vendor's
placeholder path, so that the first compile works; real work needs pictures of the network's own kind.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vacc_deploy.errors import DataError

PLACEHOLDER = "/path/to/"  # how the vendor's files say "your folder here"

_PICTURES = (
    "astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "ihc.png",
    "motorcycle_left.png", "rocket.jpg",
)  # fmt: skip


def sample_pictures() -> list[Path]:
    """The pictures' files.

    Raises:
        DataError: This scikit-image does not carry them.
    """
    spec = find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec is not None and spec.origin else None
    files = [] if folder is None else [folder / name for name in _PICTURES if (folder / name).is_file()]
    if not files:
        raise DataError(
            "scikit-image's sample pictures are not installed", hint="give pictures with --dataset"
        )
    return files
