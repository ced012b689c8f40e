"""What a benchmark feeds: made-up pictures or tensors, or the npz files of a datalist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vacc_deploy.errors import DataError
from vacc_deploy.safe_io import read_npz

if TYPE_CHECKING:
    from vacc_deploy.artifact import TensorSpec
    from vacc_deploy.runtime.stream import Item

_SEED = 0


class Source(Protocol):
    """Where the requests of a benchmark come from."""

    def request(self, number: int) -> list[Item]:
        """The items of one request."""


class RepeatedRequest:
    """The same made-up request every time, as the vendor's programs do when only speed is asked for."""

    def __init__(self, item: Item, batch_size: int) -> None:
        self._items = [item] * batch_size

    def request(self, number: int) -> list[Item]:
        """The items of one request."""
        return self._items


def made_up_picture(height: int, width: int) -> Item:
    """A picture of seeded noise, RGB planes of 8 bits."""
    from vacc_deploy.runtime.vdsp import Image, ImageFormat

    noise = np.random.default_rng(_SEED).integers(0, 256, (3, height, width), np.uint8)
    return Image(noise, ImageFormat.RGB_PLANAR)


def made_up_tensors(specs: Sequence[TensorSpec]) -> list[np.ndarray]:
    """Seeded noise in 0…1 for float inputs, zeros for token inputs."""
    random = np.random.default_rng(_SEED)
    return [
        random.random(spec.shape, np.float32).astype(spec.dtype)
        if np.dtype(spec.dtype).kind == "f"
        else np.zeros(spec.shape, spec.dtype)
        for spec in specs
    ]


class DatalistSource:
    """The npz files of a datalist, `batch_size` to a request; the last request may be shorter.

    With a vdsp operator a file holds one 8-bit picture of 3 planes (3, H, W), of any size. Token models, and
    runs without a vdsp operator, take a file's arrays as the network's inputs, by position.

    Args:
        files: In the datalist's order.
        batch_size: Files per request.
        pictures: Whether files hold pictures.
    """

    def __init__(self, files: Sequence[Path], batch_size: int, pictures: bool) -> None:
        self._files = files
        self._batch_size = batch_size
        self._read = read_picture if pictures else read_tensors

    @property
    def requests(self) -> int:
        """How many requests the files make."""
        return -(-len(self._files) // self._batch_size)

    def request(self, number: int) -> list[Item]:
        """The items of one request.

        Raises:
            DataError: A file does not hold what the network takes.
        """
        first = number * self._batch_size
        return [self._read(path) for path in self._files[first : first + self._batch_size]]


def read_picture(path: Path) -> Item:
    """The picture in an npz file that vamp would read: one uint8 array (3, H, W)."""
    from vacc_deploy.runtime.vdsp import Image, ImageFormat

    arrays = list(read_npz(path).values())
    array = arrays[0] if arrays else np.empty(0)
    array = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[0] != 3:
        raise DataError(
            f"'{path}' does not hold an 8-bit picture of 3 planes",
            why=f"its first array is {array.dtype} {list(array.shape)}, the vdsp takes uint8 [3, H, W]",
            hint="write the files with `vdeploy npz`, or leave --vdsp_params out to feed tensors",
        )
    return Image(np.ascontiguousarray(array), ImageFormat.RGB_PLANAR)


def read_tensors(path: Path) -> Item:
    """All arrays of an npz file in file order."""
    arrays: list[Any] = list(read_npz(path).values())
    if any(array.dtype == np.uint8 and array.ndim >= 3 for array in arrays):
        raise DataError(
            f"'{path}' holds an 8-bit picture, and nothing says how to turn it into a tensor",
            hint="give the vdsp JSON with --vdsp_params",
        )
    return arrays
