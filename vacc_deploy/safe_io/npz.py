"""npz and npy files: no pickles, and a header must fit the bytes that are there before an array is made."""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.safe_io.archive import check_member_name, open_archive
from vacc_deploy.safe_io.atomic import open_atomic
from vacc_deploy.safe_io.limits import MAX_ARRAY_BYTES, MAX_ARRAY_RANK
from vacc_deploy.safe_io.source import PathLike, describe_impostor, file_error, read_bytes

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000
# The header is a Python dict literal; a pattern reads the one form numpy writes without evaluating anything.
_HEADER = re.compile(
    r"\{\s*'descr':\s*(?P<descr>'[^']{1,200}'|\[.{0,5000}\]),\s*'fortran_order':\s*(?P<fortran>True|False),"
    r"\s*'shape':\s*\((?P<shape>[\s0-9,]*)\),?\s*\}\s*",
    re.DOTALL,
)
_DTYPE = re.compile(r"'([<>|=]?)(f[248]|[iu][1248]|b1)'")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same arrays give the same bytes at any time


def read_npz(path: PathLike) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file in file order: token models take them by position.

    Raises:
        FileError: Not an npz file; a member is damaged, pickled, not numeric, promises more data than it
            holds, or has a name that is duplicated or leads out of the archive.
    """
    arrays: dict[str, NDArray[Any]] = {}
    with open_archive(path) as archive:
        for member in archive.names:
            name = member.removesuffix(".npy")
            if name in arrays:
                raise file_error(path, f"the array '{name}' stands twice in the file", "write it again")
            arrays[name] = parse_npy(archive.read(member, MAX_ARRAY_BYTES), f"{path} [{name}]")
    if not arrays:
        raise file_error(path, "the file holds no arrays", "write it again")
    return arrays


def read_npy(path: PathLike) -> NDArray[Any]:
    """The array of an npy file.

    Raises:
        FileError: Not an npy file, damaged, pickled, not numeric, or promising more data than it holds.
    """
    return parse_npy(bytearray(read_bytes(path, MAX_ARRAY_BYTES)), str(path))


def parse_npy(data: bytearray, where: str) -> NDArray[Any]:
    """The array in the bytes of an npy file; shares their memory.

    Args:
        data: The file's bytes.
        where: File and array name, for messages.

    Raises:
        FileError: See `read_npy`.
    """
    if not data.startswith(_MAGIC):
        what, hint = describe_impostor(bytes(data[:64])) or (
            "something else",
            "write the array with numpy.save",
        )
        raise file_error(where, f"not a numpy array but {what}", hint)
    wide = len(data) > 6 and data[6] >= 2
    prefix = 12 if wide else 10
    if len(data) < prefix or data[6] not in (1, 2, 3):
        raise file_error(where, "the array's header is damaged", "write it again")
    (length,) = struct.unpack_from("<I" if wide else "<H", data, 8)
    match = None
    if length <= _MAX_HEADER and prefix + length <= len(data):
        match = _HEADER.fullmatch(data[prefix : prefix + length].decode("latin-1"))
    if match is None:
        raise file_error(where, "the array's header is damaged", "write it again")
    kind = _DTYPE.fullmatch(match["descr"])
    if kind is None:
        reason = f"the array's type {match['descr'][:40]} is not a plain number"
        if "O" in match["descr"]:
            reason = "the array holds Python objects, which could run code when they are loaded"
        raise file_error(
            where, reason, "store it as float32 or an integer type", "only numeric arrays are read"
        )
    dtype = np.dtype((kind[1] if kind[1] != "|" else "") + kind[2])
    digits = match["shape"].replace(",", " ").split()
    if len(digits) > MAX_ARRAY_RANK or any(len(number) > 18 for number in digits):
        raise file_error(where, "the array's shape is absurd", "write it again")
    shape = tuple(map(int, digits))
    promised, present = math.prod(shape) * dtype.itemsize, len(data) - prefix - length
    if promised != present:
        raise file_error(
            where,
            f"the array promises {promised} bytes and holds {present}",
            "the file is damaged: write it again",
        )
    if math.prod(max(side, 1) for side in shape) > MAX_ARRAY_BYTES:  # numpy refuses some shapes without items
        raise file_error(where, f"the array's shape {shape} is absurd", "write it again")
    array = np.frombuffer(data, dtype, math.prod(shape), prefix + length) if promised else np.empty(0, dtype)
    array = array.reshape(shape, order="F" if match["fortran"] == "True" else "C")
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def write_npz(path: PathLike, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an npz file as a whole or not at all; the same arrays give the same bytes.

    Raises:
        FileError: The file cannot be written, or a name is not allowed.
        ValueError: An array holds Python objects.
    """
    with (
        open_atomic(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
    ):
        for name in sorted(arrays):
            check_member_name(path, name)
            array = np.asanyarray(arrays[name])
            info = zipfile.ZipInfo(name + ".npy", _EPOCH)
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=array.nbytes >= 1 << 31) as member:
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                member.write(content.getbuffer())
