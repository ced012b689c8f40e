"""Which files of a folder a dataset uses: the suffix, the order, the first N."""

from __future__ import annotations

from pathlib import Path

from vacc_deploy.errors import DataError


def existing_path(path: Path | str | None) -> Path:
    """Where a dataset lies: a folder, or a datalist.

    Raises:
        DataError: No path is given, or there is nothing.
    """
    if path is None:
        raise DataError(
            "int8 needs calibration data, and no dataset is given",
            hint="add dataset.path to the build YAML, or --dataset DIR",
        )
    if not Path(path).exists():
        raise DataError(f"the dataset '{path}' does not exist", hint="give a folder with --dataset DIR")
    return Path(path)


def sample_files(folder: Path, suffix: str | None, count: int | None) -> list[Path]:
    """The first `count` files of a folder in sorted order.

    Sub-folders are searched only where the folder itself has no matching file (ImageNet keeps one folder
    per class).  Hidden files are never data.

    Args:
        folder: The dataset's folder.
        suffix: ``jpg``, ``JPEG``, ``.png`` …: compared without case, jpg and jpeg being one, and tif and
            tiff. None takes all files.
        count: None takes all; the vendor's ``get_data_num``.

    Raises:
        DataError: The folder is missing, is not a folder, or holds no such file (naming what it does hold).
    """
    if not existing_path(folder).is_dir():
        raise DataError(
            f"the dataset '{folder}' is not a folder",
            hint="give a folder of pictures or npz files, or a datalist",
        )
    if count is not None and count < 1:
        raise DataError(f"get_data_num is {count}: a dataset needs at least one file", where=str(folder))
    present = visible_files(folder, recurse=False) or visible_files(folder, recurse=True)
    wanted = _plain(suffix)
    files = [path for path in present if wanted is None or _plain(path.suffix) == wanted]
    if not files and wanted is not None:
        files = [path for path in visible_files(folder, recurse=True) if _plain(path.suffix) == wanted]
    if not files:
        raise _nothing_found(folder, suffix, present)
    return files[:count]


def offers(path: Path, suffix: str) -> bool:
    """Whether a folder holds, at any depth, a file that ends in `suffix`, as `sample_files` compares it."""
    if not path.is_dir():
        return False
    wanted = _plain(suffix)
    return any(_plain(file.suffix) == wanted for file in visible_files(path, recurse=True))


def visible_files(folder: Path, *, recurse: bool) -> list[Path]:
    """The files of a folder, of its sub-folders too where `recurse`, sorted; nothing hidden is among them."""
    found = folder.rglob("*") if recurse else folder.iterdir()
    visible = [
        p for p in found if p.is_file() and not any(s.startswith(".") for s in p.relative_to(folder).parts)
    ]
    return sorted(visible, key=lambda path: path.relative_to(folder).as_posix())


def _plain(suffix: str | None) -> str | None:
    """`suffix` as it is compared: no dot, lower case, one spelling of JPEG and of TIFF."""
    if suffix is None:
        return None
    plain = suffix.lower().lstrip("*").lstrip(".")
    return {"jpeg": "jpg", "tiff": "tif"}.get(plain, plain)


def _nothing_found(folder: Path, suffix: str | None, present: list[Path]) -> DataError:
    if not present:
        return DataError(f"the dataset '{folder}' is empty", hint="give a folder with --dataset DIR")
    kinds = sorted({path.suffix or path.name for path in present})
    return DataError(
        f"the dataset '{folder}' has no '{suffix}' file",
        why=f"it holds {len(present)} files: {', '.join(kinds[:6])}",
        hint=f"set dataset.sampler.suffix to '{kinds[0].lstrip('.')}', or remove it to take every file",
    )
