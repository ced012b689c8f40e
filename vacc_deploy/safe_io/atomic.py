"""Writing one file so that a reader finds the old contents or the new, never a part."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vacc_deploy.safe_io.source import PathLike, os_error


@contextmanager
def open_atomic(path: PathLike) -> Iterator[BinaryIO]:
    """Open a temporary sibling for writing; it replaces `path` when the block ends without an exception.

    The file is flushed to the disk before the rename and its folder after it.  Missing parent folders are
    made.

    Raises:
        FileError: The folder or the file cannot be written; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:100]}.tmp-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # os.open, not mkstemp: the user's umask decides the permissions, as for any file they make.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        raise os_error(path, error, "write") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise os_error(path, error, "write") from error
    finally:
        with suppress(OSError):  # after the rename it is gone already
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, where the system can."""
    with suppress(OSError):  # some network file systems cannot; the rename itself is still atomic
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_bytes_atomic(path: PathLike, data: bytes | bytearray | memoryview) -> None:
    """Write a file as a whole or not at all.

    Raises:
        FileError: The file cannot be written.
    """
    with open_atomic(path) as file:
        file.write(data)


def write_text_atomic(path: PathLike, text: str) -> None:
    """Write a UTF-8 text file as a whole or not at all.

    Raises:
        FileError: The file cannot be written.
    """
    write_bytes_atomic(path, text.encode("utf-8"))
