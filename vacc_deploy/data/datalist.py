"""Datalists: texts that name an npz or a picture per line; vamp reads them, `vdeploy npz` writes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vacc_deploy.errors import DataError
from vacc_deploy.safe_io import read_lines


def read_datalist(path: Path) -> list[Path]:
    """The files that a datalist names, in its order.

    Empty lines and lines that start with ``#`` are skipped.  A relative name is looked up in the working
    folder, then beside the datalist.

    Raises:
        FileError: The datalist cannot be read as text.
        DataError: It names nothing, or files that do not exist (the first of them are listed).
    """
    names = [line for line in read_lines(path) if not line.startswith("#")]
    if not names:
        raise DataError(f"the datalist '{path}' names no file", hint="one path per line")
    files = [_locate(name, path.parent) for name in names]
    missing = [name for name, file in zip(names, files, strict=True) if file is None]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} files of the datalist '{path}' do not exist",
            why=", ".join(missing[:5]) + (" …" if len(missing) > 5 else ""),
            hint="correct the list, or write it again with `vdeploy npz`",
        )
    return [file for file in files if file is not None]


def datalist_text(files: Sequence[Path]) -> str:
    """A datalist's text: absolute paths, one per line, as vamp expects them."""
    return "".join(f"{os.path.abspath(file)}\n" for file in files)


def _locate(name: str, folder: Path) -> Path | None:
    return next((path for path in (Path(name), folder / name) if path.is_file()), None)
