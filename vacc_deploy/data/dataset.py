"""What a dataset is, and how a build YAML's dataset section becomes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from vacc_deploy.data.datalist import read_datalist
from vacc_deploy.data.image_dataset import ImageDataset
from vacc_deploy.data.npz_dataset import NpzDataset
from vacc_deploy.data.process_ops import Pipeline
from vacc_deploy.data.sampler import existing_path, offers, visible_files
from vacc_deploy.errors import DataError
from vacc_deploy.safe_io import SUFFIXES


class Dataset(Protocol):
    """Samples read one by one: ``{input name: array with batch axis}``, pictures as float32 NCHW."""

    files: list[Path]

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]: ...


class DatasetSettings(Protocol):
    """The dataset section of a build YAML, as far as reading the data needs it."""

    @property
    def path(self) -> Path | str | None: ...  # noqa: D102

    @property
    def suffix(self) -> str | None: ...  # noqa: D102

    @property
    def count(self) -> int | None: ...  # noqa: D102

    @property
    def process_ops(self) -> Sequence[Any]: ...  # noqa: D102


def open_dataset(
    settings: DatasetSettings | None,
    inputs: Mapping[str, Sequence[int]],
    override_path: str | Path | None = None,
) -> Dataset:
    """The dataset of a build YAML.

    Pictures pass through process_ops; without process_ops, or where the path is a folder of npz files or
    a datalist of them, samples are npz. A single picture or npz file stands for itself.

    Args:
        settings: The YAML's dataset section; None where it has none.
        inputs: The network's inputs by name, with shapes.
        override_path: The command line's ``--dataset``; its files need not have the YAML's suffix.

    Raises:
        DataError: No path is known, the path offers nothing, nothing says how to prepare its pictures, or
            they would feed several inputs.
    """
    given = settings.path if settings is not None else None
    path = existing_path(override_path if override_path is not None else given)
    suffix = settings.suffix if settings is not None else None
    count = settings.count if settings is not None else None
    ops = list(settings.process_ops or ()) if settings is not None else []
    if override_path is not None and suffix is not None and not offers(path, suffix):
        suffix = None
    named = _named_files(path)
    names_pictures = bool(named) and all(_is_picture(file.suffix) for file in named)
    if not ops and (names_pictures or _is_picture(suffix or "")):
        raise DataError(
            f"nothing says how the pictures of '{path}' become the network's input",
            hint="add process_ops to the build YAML's dataset, or give npz files",
        )
    if (named and not names_pictures) or not ops or _only_npz(path):
        pictures = Pipeline(ops, next(iter(inputs.values()))) if ops and len(inputs) == 1 else None
        return NpzDataset(named or path, inputs, count, suffix=None if ops else suffix, pictures=pictures)
    if len(inputs) != 1:
        raise DataError(
            f"process_ops make one tensor, the network has {len(inputs)} inputs: {', '.join(inputs)}",
            hint="give npz files with one array per input, and no process_ops",
        )
    ((name, shape),) = inputs.items()
    return ImageDataset(named or path, ops, suffix, count, input_name=name, input_shape=shape)


def _named_files(path: Path) -> list[Path]:
    """The picture or npz file that the path is, or those that it lists; none where it is a folder."""
    if not path.is_file():
        return []
    return [path] if _is_picture(path.suffix) or path.suffix.lower() == ".npz" else read_datalist(path)


def _is_picture(suffix: str) -> bool:
    return f".{suffix.lower().lstrip('.')}" in SUFFIXES


def _only_npz(path: Path) -> bool:
    suffixes = {file.suffix.lower() for file in visible_files(path, recurse=True)} if path.is_dir() else set()
    return suffixes == {".npz"} or suffixes == {".npz", ".txt"}
