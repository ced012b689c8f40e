"""Zip archives that cannot hurt: names, sizes and ratios are checked before anything is unpacked.

npz files and torch checkpoints are both zip archives; this is the only code that opens one.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO

from vacc_deploy.safe_io.limits import (
    GIB,
    MAX_ARCHIVE_MEMBERS,
    MAX_EXPANDED_BYTES,
    MAX_EXPANSION,
    MAX_MEMBER_NAME,
    SMALL_EXPANSION,
)
from vacc_deploy.safe_io.source import PathLike, describe_impostor, file_error, open_source

_DAMAGED = "the file is damaged: download or write it again"
_HOSTILE = "do not use this file: no ordinary program writes such an archive"
_CHUNK = 1 << 20


class Archive:
    """An open zip archive whose directory has been checked."""

    def __init__(self, path: PathLike, zip_file: zipfile.ZipFile) -> None:
        self.path = path
        self._zip = zip_file
        self._members = {info.filename: info for info in zip_file.infolist() if not info.is_dir()}

    @property
    def names(self) -> list[str]:
        """The members' names in the order of the archive."""
        return list(self._members)

    def size(self, name: str) -> int:
        """The declared uncompressed size of a member in bytes."""
        return self._members[name].file_size

    def read(self, name: str, limit: int) -> bytearray:
        """A member's bytes, checked against its declared size and CRC.

        Raises:
            FileError: The member is missing, larger than `limit`, longer or shorter than declared, or
                damaged.
        """
        info = self._members.get(name)
        if info is None:
            raise file_error(self.path, f"the archive has no member '{name}'", _DAMAGED)
        if info.file_size > limit:
            raise file_error(
                self.path,
                f"the member '{name}' is too large: {info.file_size} bytes, the limit is {limit}",
                _HOSTILE,
            )
        data = bytearray()
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(_CHUNK):
                    data += chunk
                    if len(data) > info.file_size:
                        raise file_error(self.path, f"the member '{name}' is longer than it says", _HOSTILE)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
            raise file_error(
                self.path, f"the member '{name}' cannot be unpacked", _DAMAGED, str(error)
            ) from None
        if len(data) != info.file_size:
            raise file_error(self.path, f"the member '{name}' is shorter than it says", _DAMAGED)
        return data


@contextmanager
def open_archive(path: PathLike, limit: int = MAX_EXPANDED_BYTES) -> Iterator[Archive]:
    """Open a zip archive for reading, after checking its directory.

    Args:
        path: The archive.
        limit: How many bytes the file may have, and all its members together.

    Raises:
        FileError: Not a zip archive, damaged, or built to do harm: duplicate or ``../`` names, overlapping or
            encrypted members, absurd sizes or compression ratios.
    """
    with open_source(path, limit) as (file, size):
        zip_file = _open_zip(path, file)
        with zip_file:
            _check_members(path, zip_file.infolist(), size, limit)
            yield Archive(path, zip_file)


def _open_zip(path: PathLike, file: BinaryIO) -> zipfile.ZipFile:
    head = file.read(64)
    file.seek(0)
    if not head:
        raise file_error(path, "the file is empty", _DAMAGED)
    if not head.startswith(b"PK"):
        what, hint = describe_impostor(head) or ("something else", "check that it is the right file")
        raise file_error(path, f"not a zip archive but {what}", hint)
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, UnicodeError) as error:
        raise file_error(path, "the archive cannot be opened", _DAMAGED, str(error)) from None


def _check_members(path: PathLike, members: list[zipfile.ZipInfo], size: int, limit: int) -> None:
    if len(members) > MAX_ARCHIVE_MEMBERS:
        raise file_error(path, f"the archive has {len(members)} members", _HOSTILE)
    seen: set[str] = set()
    for info in members:
        check_member_name(path, info.filename)
        if info.filename in seen:
            raise file_error(path, f"the member '{info.filename}' stands twice in the archive", _HOSTILE)
        seen.add(info.filename)
        if info.flag_bits & 1:
            raise file_error(
                path, f"the member '{info.filename}' is encrypted", "write it again without a password"
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise file_error(
                path,
                f"the member '{info.filename}' uses an unusual compression",
                "write it again with numpy or torch",
            )
        if info.file_size > max(SMALL_EXPANSION, MAX_EXPANSION * info.compress_size):
            raise file_error(
                path,
                f"'{info.filename}' would grow from {info.compress_size} to {info.file_size} bytes",
                _HOSTILE,
            )
    total = sum(info.file_size for info in members)
    if total > limit:
        raise file_error(path, f"the archive would unpack to {total / GIB:.1f} GiB", _HOSTILE)
    if total > max(SMALL_EXPANSION, MAX_EXPANSION * size):
        raise file_error(path, f"the archive would grow from {size} to {total} bytes", _HOSTILE)
    if sum(info.compress_size for info in members) > size:
        raise file_error(path, "the members of the archive overlap", _HOSTILE)


def check_member_name(path: PathLike, name: str) -> None:
    """Refuse names that lead out of a folder or cannot be shown.

    A leading ``/`` stays allowed: ONNX tensors are called that, and members are never written to disk.

    Raises:
        FileError: The name has ``..`` parts, backslashes, control characters, or is empty or very long.
    """
    if not name or len(name) > MAX_MEMBER_NAME:
        raise file_error(path, f"a member's name has {len(name)} characters", _HOSTILE)
    if ".." in PurePosixPath(name).parts or "\\" in name or not name.isprintable():
        raise file_error(path, f"the member name {name[:80]!r} is not allowed", _HOSTILE)
