"""npz files as network inputs: one sample per file, one array per input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.collect_errors import about_file, read_each
from vacc_deploy.data.process_ops import Pipeline
from vacc_deploy.data.sampler import sample_files
from vacc_deploy.errors import ConfigError, DataError
from vacc_deploy.safe_io import read_npz


class NpzDataset:
    """npz files as network inputs.

    An array belongs to the input of its name; where no array has an input's name, they belong to the
    inputs by position, in file order, as vamp takes ``input_0``, ``input_1`` …

    Args:
        path: The folder, or the files themselves.
        input_names: The network's inputs, or names with shapes, which are then checked (0 and less: open).
        count: The first N files; None takes all.
        suffix: As the build YAML gives it; ``npz`` where it gives none.
        pictures: process_ops for arrays that are still pictures (uint8, 3×H×W, what `vdeploy npz` writes);
            None takes every array as the finished input.

    Raises:
        DataError: There is no file to read.
    """

    def __init__(
        self,
        path: str | Path | Sequence[Path],
        input_names: Sequence[str] | Mapping[str, Sequence[int]],
        count: int | None = None,
        suffix: str | None = None,
        *,
        pictures: Pipeline | None = None,
    ) -> None:
        self._pictures = pictures
        shapes = input_names if isinstance(input_names, Mapping) else dict.fromkeys(input_names)
        self._shapes: dict[str, Sequence[int] | None] = dict(shapes)
        if isinstance(path, str | Path):
            self.files = sample_files(Path(path), suffix or "npz", count)
        else:
            self.files = list(path)[:count]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        return read_each(self.files, self._read)

    def _read(self, path: Path) -> dict[str, NDArray[Any]]:
        arrays = self._by_input(path, read_npz(path))
        return {name: self._checked(path, name, array) for name, array in arrays.items()}

    def _by_input(self, path: Path, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        names = list(self._shapes)
        if all(name in arrays for name in names):
            return {name: arrays[name] for name in names}
        if len(arrays) < len(names) or any(name in arrays for name in names):
            missing = [name for name in names if name not in arrays]
            raise DataError(
                f"'{path}' has no array for input {', '.join(missing)}",
                why=f"it holds {', '.join(arrays) or 'nothing'}",
                hint="name the arrays after the network's inputs, or input_0, input_1 … in their order",
            )
        return dict(zip(names, arrays.values(), strict=False))

    def _checked(self, path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind not in "fiub":
            raise DataError(f"'{path}': array {name} has dtype {array.dtype}, which is not numbers")
        shape = self._shapes[name]
        if self._pictures is not None and array.dtype == np.uint8 and array.ndim == 3 and array.shape[0] == 3:
            return _processed(self._pictures, path, array)
        if shape is not None:
            array = _with_batch(array, len(shape))
            wrong = len(array.shape) != len(shape) or any(
                want > 0 and have != want for have, want in zip(array.shape[1:], shape[1:], strict=True)
            )
            if wrong:
                raise DataError(
                    f"'{path}': array {name} is {_text(array.shape)}, the network takes {_text(shape)}",
                    hint="npz datasets hold the network's input itself; pictures go through process_ops",
                )
        if array.dtype.kind != "f":
            return array.astype(np.float32) if shape is not None and len(shape) == 4 else array
        if not np.isfinite(array).all():
            raise DataError(
                f"'{path}': array {name} holds NaN or infinite values",
                hint="leave this file out, or write it again",
            )
        return array.astype(np.float32, copy=False)


def _processed(pipeline: Pipeline, path: Path, planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    try:
        return pipeline(np.ascontiguousarray(planes.transpose(1, 2, 0)))
    except (ConfigError, DataError) as error:
        raise about_file(path, error) from error


def _with_batch(array: NDArray[Any], rank: int) -> NDArray[Any]:
    return array[np.newaxis] if array.ndim == rank - 1 else array


def _text(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))
