"""From a pickle's description of a torch tensor to an array: storages, views and types, all checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.limits import MAX_ARRAY_BYTES, MAX_ARRAY_RANK
from vacc_deploy.safe_io.pickle_machine import Call, Global, PersistentId
from vacc_deploy.safe_io.safetensors_file import bfloat16_to_float32
from vacc_deploy.safe_io.source import PathLike, file_error

# Name of the storage class or of the torch dtype → numpy type; bfloat16 has none and goes through its bits.
STORAGE_TYPES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage":
    "<u1", "BoolStorage": "<b1", "float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2",
    "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "<i1", "uint8": "<u1", "bool": "<b1",
}  # fmt: skip
_BFLOAT16 = ("BFloat16Storage", "bfloat16")
_WRAPPERS = frozenset({"_rebuild_parameter", "_rebuild_parameter_with_state", "Parameter", "Buffer"})
_BUILDERS = frozenset({"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"})
_MAX_WRAPPERS = 8
_MAX_SHARING = 8  # bytes of tensors per byte of storage; tied weights make it 2
_HINT = "download or write the checkpoint again"


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of items that tensors are views of."""

    kind: str  # a key of STORAGE_TYPES
    key: str
    count: int  # items


@dataclass(frozen=True, slots=True)
class TensorView:
    """A tensor as torch stores it: a view of a storage, in items."""

    storage: Storage
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def as_tensor(value: Any) -> TensorView | None:
    """The tensor that a pickled value describes, or None if it describes something else."""
    for _ in range(_MAX_WRAPPERS):
        if not isinstance(value, Call) or not isinstance(value.function, Global) or not value.arguments:
            return None
        if not value.function.module.startswith("torch"):
            return None
        if value.function.name in _BUILDERS:
            return _view(value)
        if value.function.name not in _WRAPPERS:
            return None
        value = value.arguments[0]
    return None


def _view(call: Call) -> TensorView | None:
    if len(call.arguments) < 4:
        return None
    storage = as_storage(call.arguments[0])
    offset, shape, strides = call.arguments[1:4]
    if storage is None or not isinstance(offset, int):
        return None
    shape, strides = _sizes(shape), _sizes(strides)
    if shape is None or strides is None or len(shape) != len(strides):
        return None
    kind = storage.kind
    if isinstance(call.function, Global) and call.function.name == "_rebuild_tensor_v3":
        dtype = call.arguments[6] if len(call.arguments) > 6 else None
        if not isinstance(dtype, Global) or dtype.name not in STORAGE_TYPES:
            return None
        kind = dtype.name
    return TensorView(storage, kind, offset, shape, strides)


def _sizes(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Call) and value.arguments:  # torch.Size((…))
        value = value.arguments[0]
    if not isinstance(value, (tuple, list)) or len(value) > MAX_ARRAY_RANK:
        return None
    if not all(type(size) is int and size >= 0 for size in value):
        return None
    return tuple(value)


def as_storage(value: Any) -> Storage | None:
    """The storage that a persistent id names: ``('storage', type, key, location, count[, view])``."""
    if not isinstance(value, PersistentId) or not isinstance(value.value, tuple) or len(value.value) < 5:
        return None
    tag, kind, key, _, count = value.value[:5]
    if tag != "storage" or not isinstance(kind, Global) or not isinstance(key, (str, int)):
        return None
    if not isinstance(count, int) or count < 0:
        return None
    name = "uint8" if kind.name == "UntypedStorage" else kind.name
    return Storage(name, str(key), count) if name in STORAGE_TYPES else None


class TensorReader:
    """Makes arrays from `TensorView` records; each storage is read once and shared by its views.

    Args:
        where: The file's name, for messages.
        read_storage: Storage key, expected bytes → its bytes.
        big_endian: Whether the machine that wrote the file stored the high byte first.
    """

    def __init__(
        self,
        where: PathLike,
        read_storage: Callable[[str, int], bytearray | memoryview],
        big_endian: bool = False,
    ) -> None:
        self._where = where
        self._read_storage = read_storage
        self._order: Literal["<", ">"] = ">" if big_endian else "<"
        self._storages: dict[str, bytearray | memoryview] = {}
        self._total = 0

    def array(self, name: str, tensor: TensorView) -> NDArray[Any]:
        """The tensor as a contiguous array; bfloat16 becomes float32.

        Raises:
            FileError: The tensor reaches outside its storage, or asks for more memory than its file can hold.
        """
        storage = tensor.storage
        item = np.dtype(STORAGE_TYPES[tensor.kind]).newbyteorder(self._order)
        size = storage.count * np.dtype(STORAGE_TYPES[storage.kind]).itemsize
        if size > MAX_ARRAY_BYTES:
            raise self._error(name, f"lies in a storage of {size} bytes")
        if storage.key not in self._storages:
            self._storages[storage.key] = self._read_storage(storage.key, size)
        data = self._storages[storage.key]
        available = len(data) // item.itemsize
        count = math.prod(tensor.shape)
        last = tensor.offset + sum(
            (n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True)
        )
        if count and not (tensor.offset >= 0 and last < available):
            raise self._error(name, f"reaches item {last} of a storage of {available}")
        if count > available:
            raise self._error(name, f"has {count} items and its storage {available}")
        self._total += count * item.itemsize
        if self._total > _MAX_SHARING * sum(map(len, self._storages.values())):
            raise self._error(name, f"is one of too many views: {self._total} bytes so far of small storages")
        if not count:
            return np.zeros(tensor.shape, item.newbyteorder("="))
        flat = np.frombuffer(data, item, available)
        view = np.lib.stride_tricks.as_strided(
            flat[tensor.offset :], tensor.shape, tuple(stride * item.itemsize for stride in tensor.strides)
        )
        array = np.ascontiguousarray(view, dtype=item.newbyteorder("="))
        if tensor.kind in _BFLOAT16:
            return bfloat16_to_float32(array).reshape(tensor.shape)
        return array.reshape(tensor.shape)

    def _error(self, name: str, what: str) -> FileError:
        return file_error(self._where, f"the tensor '{name[:80]}' {what}", _HINT)
