"""safetensors files, read and written by the letter of the format: no holes, no overlaps, no leftovers."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.atomic import open_atomic
from vacc_deploy.safe_io.limits import MAX_ARRAY_RANK, MAX_CHECKPOINT_BYTES, MAX_SAFETENSORS_HEADER
from vacc_deploy.safe_io.source import PathLike, describe_impostor, file_error, open_source, os_error
from vacc_deploy.safe_io.strict_json import parse_json

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8":
    "<i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "<b1",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items() if name != "BF16"}
_METADATA = "__metadata__"
_ALIGNMENT = 64  # of the first tensor, in bytes: a cache line
_HINT = "the file is damaged: download or write it again"


def read_safetensors(path: PathLike) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file, by name in sorted order; bfloat16 becomes float32.

    Raises:
        FileError: Not a safetensors file, or one whose header does not describe its bytes exactly.
    """
    with open_source(path, MAX_CHECKPOINT_BYTES) as (file, size):
        try:
            header, start = _read_header(path, file, size)
            entries = _checked_entries(path, header, size - start)
            data = np.fromfile(file, np.uint8)
        except OSError as error:
            raise os_error(path, error) from error
    if data.size != size - start:
        raise file_error(
            path, "the file changed while it was read", "wait until it is complete, then try again"
        )
    return {name: _view(data, *entries[name]) for name in sorted(entries)}


def read_safetensors_metadata(path: PathLike) -> dict[str, str]:
    """The free text entries in a safetensors file's header.

    Raises:
        FileError: Not a safetensors file.
    """
    with open_source(path, MAX_CHECKPOINT_BYTES) as (file, size):
        header, _ = _read_header(path, file, size)
    metadata = header.get(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise file_error(path, "the metadata of the safetensors header are not text", _HINT)
    return dict(metadata)


def write_safetensors(
    path: PathLike, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file: sorted, the same bytes for the same tensors; atomically.

    Larger item sizes come first, so every tensor is aligned to its items and the first to 64 bytes.

    Raises:
        FileError: The file cannot be written.
        ValueError: A tensor's type has no name in the format.
    """
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}
    ordered: list[NDArray[Any]] = []
    position = 0
    for name in sorted(arrays, key=lambda key: (-arrays[key].dtype.itemsize, key)):
        array = np.asarray(arrays[name])
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise ValueError(f"tensor '{name}': safetensors has no type {array.dtype}")
        end = position + array.nbytes
        header[name] = {"dtype": _NAMES[dtype], "shape": list(array.shape), "data_offsets": [position, end]}
        ordered.append(array.astype(dtype, order="C", copy=False))
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    with open_atomic(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in ordered:
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _read_header(path: PathLike, file: Any, size: int) -> tuple[dict[str, Any], int]:
    head = file.read(8)
    if len(head) < 8:
        raise file_error(path, "too short to be a safetensors file", _HINT)
    (length,) = struct.unpack("<Q", head)
    if length > min(size - 8, MAX_SAFETENSORS_HEADER):
        what, hint = describe_impostor(head + file.read(56)) or (
            "something else",
            "check that it is the right file",
        )
        raise file_error(
            path, f"not a safetensors file but {what}", hint, f"its header would have {length} bytes"
        )
    try:
        header = parse_json(file.read(length).decode("utf-8"), f"{path} [header]")
    except UnicodeDecodeError:
        raise file_error(path, "the safetensors header is not UTF-8 text", _HINT) from None
    if not isinstance(header, dict):
        raise file_error(path, "the safetensors header is not an object", _HINT)
    return header, 8 + length


def _checked_entries(
    path: PathLike, header: dict[str, Any], size: int
) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Tensor name → (type, shape, begin, end); together they cover the data without holes or overlaps."""
    entries: dict[str, tuple[str, tuple[int, ...], int, int]] = {}
    for name, entry in header.items():
        if name != _METADATA:
            entries[name] = _checked_entry(path, name, entry)
    end = 0
    for name, (_, _, begin, stop) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != end:
            raise _entry_error(path, name, "leaves a hole or overlaps another tensor")
        end = stop
    if end != size:
        raise file_error(path, f"the tensors take {end} bytes and the file holds {size}", _HINT)
    return entries


def _checked_entry(path: PathLike, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or sorted(entry) != ["data_offsets", "dtype", "shape"]:
        raise _entry_error(path, name, "is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _entry_error(path, name, f"has the type {str(dtype)[:20]}, which is not supported")
    if not _are_sizes(shape) or len(shape) > MAX_ARRAY_RANK or not _are_sizes(offsets) or len(offsets) != 2:
        raise _entry_error(path, name, "has an impossible shape or place")
    begin, end = offsets
    if end - begin != math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize:
        raise _entry_error(path, name, "has a shape that does not fit its bytes")
    if math.prod(max(side, 1) for side in shape) > MAX_CHECKPOINT_BYTES:  # numpy refuses some without items
        raise _entry_error(path, name, "has a shape of absurd size")
    return dtype, tuple(shape), begin, end


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 60 for value in values)


def _entry_error(path: PathLike, name: str, what: str) -> FileError:
    return file_error(path, f"the tensor '{name[:80]}' {what}", _HINT)


def _view(data: NDArray[np.uint8], dtype: str, shape: tuple[int, ...], begin: int, end: int) -> NDArray[Any]:
    raw = data[begin:end]
    if begin % np.dtype(_DTYPES[dtype]).itemsize:
        raw = raw.copy()
    array = raw.view(_DTYPES[dtype]).reshape(shape)
    return bfloat16_to_float32(array) if dtype == "BF16" else array


def bfloat16_to_float32(bits: NDArray[Any]) -> NDArray[np.float32]:
    """bfloat16 bit patterns (uint16) as the float32 numbers they stand for."""
    wide = bits.astype(np.uint32) << np.uint32(16)
    return wide.view(np.float32)
