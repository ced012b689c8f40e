"""Opening a file somebody else wrote: a regular file of a sensible size, or an error that says what it is."""

from __future__ import annotations

import difflib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.limits import MAX_ARTIFACT_BYTES, MAX_LINES, MAX_TEXT_BYTES, MIB

_MAX_SHOWN = 1000
# What would move the cursor or repaint the terminal when it is shown.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
PathLike = str | os.PathLike[str]

_REASONS = {
    errno.EACCES: ("permission denied", "check the permissions of the file and of its folder"),
    errno.EPERM: ("operation not permitted", "check the permissions of the file and of its folder"),
    errno.EROFS: ("the file system is read-only", "choose an output folder that can be written to"),
    errno.ENOSPC: ("the disk is full", "free some space, or choose another output folder"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or choose another output folder"),
    errno.EFBIG: ("the file would be larger than this process may write", "raise the limit with 'ulimit -f'"),
    errno.ENAMETOOLONG: ("the path is too long", "use a shorter name"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "check the path"),
    errno.EISDIR: ("it is a folder", "give the path of a file"),
    errno.EEXIST: ("a file of that name is in the way", "remove it, or choose another name"),
    errno.ELOOP: ("too many symbolic links", "check where the links lead"),
    errno.EMFILE: ("too many open files", "raise the limit with 'ulimit -n'"),
}

_EXPORT_FIRST = "if it holds a model's weights, export the model first: vdeploy export"

# First bytes → what the file really is, and what to do about it.
_IMPOSTORS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "fetch the data with 'git lfs pull'"),
    (b"<!DOCTYPE", "a web page", "download the file itself, not the page that shows it"),
    (b"<!doctype", "a web page", "download the file itself, not the page that shows it"),
    (b"<html", "a web page", "download the file itself, not the page that shows it"),
    (b"\x89HDF", "an HDF5 (Keras) file", "convert the model to ONNX with tf2onnx"),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"PK\x03\x04", "a zip archive, such as PyTorch's", _EXPORT_FIRST),
    *(
        (bytes((0x80, protocol)), "a pickle, such as an old PyTorch checkpoint", _EXPORT_FIRST)
        for protocol in range(2, 6)
    ),
)


def file_error(path: PathLike, reason: str, hint: str, why: str | None = None) -> FileError:
    """The one form of error of this layer: the file, the reason, the remedy."""
    return FileError(reason, where=_shown(str(path)), why=why, hint=hint)


def _shown(place: str) -> str:
    return place if len(place) <= _MAX_SHOWN else place[:100] + " … " + place[-100:]


def os_error(path: PathLike, error: OSError, doing: str = "read") -> FileError:
    """An `OSError` as a `FileError` that says why and what to do."""
    reason, hint = _REASONS.get(
        error.errno or 0, (error.strerror or str(error), "check the path and the storage behind it")
    )
    return file_error(path, f"cannot {doing} this file: {reason}", hint)


def describe_impostor(head: bytes) -> tuple[str, str] | None:
    """What a file with these first bytes really is, and what to do, if it is a well-known mistake."""
    for magic, what, hint in _IMPOSTORS:
        if head.startswith(magic):
            return what, hint
    return None


def _no_such_file(path: Path) -> FileError:
    folder = path.parent
    if not folder.is_dir():
        return file_error(
            path, "no such file", f"the folder '{folder}' does not exist either: check the path"
        )
    names = [entry.name for entry in folder.iterdir()] if os.access(folder, os.R_OK) else []
    close = difflib.get_close_matches(path.name, sorted(names)[:10_000], n=1)
    return file_error(path, "no such file", f"did you mean '{close[0]}'?" if close else "check the path")


@contextmanager
def open_source(path: PathLike, limit: int) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file of at most `limit` bytes for reading.

    Yields:
        The open file and its size in bytes.

    Raises:
        FileError: The file is missing, unreadable, not a regular file (a folder, pipe or device), or too
            large.
    """
    path = Path(path)
    try:
        # Without O_NONBLOCK a named pipe would hang the command for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):  # os.fdopen refuses folders with a poorer message
            os.close(descriptor)
            raise file_error(path, "not a file but a folder", "give the path of a file in it")
    except FileNotFoundError:
        raise _no_such_file(path) from None
    except OSError as error:
        raise os_error(path, error) from error
    except ValueError as error:
        raise file_error(
            repr(os.fspath(path)), "the path holds a null character", "check the path"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise file_error(
                path, "not a file but a pipe, socket or device", "give the path of a regular file"
            )
        if status.st_size > limit:
            raise file_error(
                path,
                f"the file is too large: {status.st_size / MIB:.1f} MiB",
                f"the limit for this kind of file is {limit / MIB:g} MiB: check that it is the right file",
            )
        yield file, status.st_size


def read_bytes(path: PathLike, limit: int = MAX_TEXT_BYTES) -> bytes:
    """The contents of a regular file of at most `limit` bytes.

    Raises:
        FileError: See `open_source`; also when the file changes while it is read.
    """
    with open_source(path, limit) as (file, size):
        try:
            data = file.read(size + 1)
        except OSError as error:
            raise os_error(path, error) from error
    if len(data) != size:
        raise file_error(
            path, "the file changed while it was read", "wait until it is complete, then try again"
        )
    return data


def sha256_of(path: PathLike, limit: int = MAX_ARTIFACT_BYTES) -> str:
    """The SHA-256 of a file's contents, in hexadecimal; read in pieces.

    Raises:
        FileError: See `open_source`.
    """
    digest = hashlib.sha256()
    with open_source(path, limit) as (file, _):
        try:
            while chunk := file.read(MIB):
                digest.update(chunk)
        except OSError as error:
            raise os_error(path, error) from error
    return digest.hexdigest()


def read_text(path: PathLike, limit: int = MAX_TEXT_BYTES) -> str:
    """The contents of a UTF-8 text file (a byte-order mark is dropped).

    Raises:
        FileError: The file is unreadable, too large, or not UTF-8 text.
    """
    data = read_bytes(path, limit)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        impostor = describe_impostor(data[:64])
        if impostor:
            raise file_error(path, f"not a text file but {impostor[0]}", impostor[1]) from None
        line = data.count(b"\n", 0, error.start) + 1
        raise file_error(
            f"{path}:{line}", "not a text file in UTF-8", "save it as UTF-8 text", f"byte {error.start}"
        ) from None
    if "\0" in text:
        raise file_error(path, "not a text file: it holds null characters", "check that it is the right file")
    return text


def read_lines(path: PathLike) -> list[str]:
    """The non-empty lines of a text file such as a datalist, stripped of surrounding blanks.

    Raises:
        FileError: The file is unreadable, not UTF-8 text, or has more than a million lines.
    """
    text = read_text(path)
    if text.count("\n") > MAX_LINES:
        raise file_error(path, f"the file has more than {MAX_LINES} lines", "split it")
    return [line.strip() for line in text.splitlines() if line.strip()]
