"""Turn pictures into npz files and a datalist: raw ones for the run stream, or finished network inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.collect_errors import read_each
from vacc_deploy.data.color import luma
from vacc_deploy.data.datalist import datalist_text
from vacc_deploy.data.image_dataset import ImageDataset
from vacc_deploy.errors import DataError
from vacc_deploy.safe_io import read_image, staged_directory, write_npz

DATALIST = "datalist.txt"


def raw_pictures(
    files: Sequence[Path], *, key: str, luma_only: bool = False
) -> Iterable[dict[str, NDArray[Any]]]:
    """Pictures as vamp takes them: uint8 RGB (3, H, W) at their own size, under one key.

    Args:
        files: The pictures.
        key: The array's name; vamp expects ``input_0``.
        luma_only: Give the Y plane three times, as one-channel networks are fed through the vdsp.
    """

    def read(path: Path) -> dict[str, NDArray[Any]]:
        rgb = read_image(path)
        planes = np.stack([luma(rgb)] * 3) if luma_only else rgb.transpose(2, 0, 1)
        return {key: np.ascontiguousarray(planes)}

    return read_each(files, read)


def processed_pictures(dataset: ImageDataset, *, key: str | None = None) -> Iterable[dict[str, NDArray[Any]]]:
    """Finished network inputs, float32 (1, C, H, W), under the input's name or `key`."""
    for sample in dataset:
        yield sample if key is None else {key: next(iter(sample.values()))}


def write_npz_folder(
    folder: Path, files: Sequence[Path], samples: Iterable[dict[str, NDArray[Any]]]
) -> list[Path]:
    """Write one npz per picture, and ``datalist.txt`` with their absolute paths; all of it or nothing.

    Args:
        folder: Created, or replaced where it holds nothing but npz files and a datalist.
        files: The pictures in order; an npz takes its picture's stem.
        samples: Their arrays, in the same order.

    Returns:
        The npz files in datalist order.

    Raises:
        DataError: Two pictures have the same stem, or `folder` holds other files.
    """
    names = [f"{path.stem}.npz" for path in files]
    _require_distinct(files, names)
    if folder.is_dir():
        others = sorted(p.name for p in folder.iterdir() if p.suffix != ".npz" and p.name != DATALIST)
        if others:
            raise DataError(
                f"'{folder}' holds files that are not npz: {', '.join(others[:5])}",
                hint="give a new folder with -o",
            )
    targets = [folder / name for name in names]
    with staged_directory(folder) as staged:
        for name, arrays in zip(names, samples, strict=True):
            write_npz(staged / name, arrays)
        (staged / DATALIST).write_text(datalist_text(targets), encoding="utf-8")
    return targets


def _require_distinct(files: Sequence[Path], names: Sequence[str]) -> None:
    first: dict[str, Path] = {}
    for path, name in zip(files, names, strict=True):
        if name in first:
            raise DataError(
                f"'{first[name]}' and '{path}' would both become {name}", hint="rename one of them"
            )
        first[name] = path
