"""Tensors in "device memory", which here is an array that nobody else holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import RunError
from vacc_deploy.vsx.enums import TypeFlag

DTYPES: dict[TypeFlag, npt.DTypeLike] = {
    TypeFlag.UINT8: np.uint8,
    TypeFlag.INT8: np.int8,
    TypeFlag.UINT16: np.uint16,
    TypeFlag.INT16: np.int16,
    TypeFlag.UINT32: np.uint32,
    TypeFlag.INT32: np.int32,
    TypeFlag.FLOAT16: np.float16,
    TypeFlag.FLOAT32: np.float32,
    TypeFlag.UINT64: np.uint64,
    TypeFlag.INT64: np.int64,
}


class Tensor:
    """An array on the emulated device.

    Args:
        array: The values; the tensor keeps this very array.
        device_id: The device that holds it.
    """

    def __init__(self, array: npt.NDArray[Any], device_id: int = 0) -> None:
        self.array = np.ascontiguousarray(array)
        self.device_id = device_id

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.array.shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.array.size

    @property
    def dtype(self) -> TypeFlag:
        """Element type."""
        return next(flag for flag, dtype in DTYPES.items() if np.dtype(dtype) == self.array.dtype)

    @property
    def addr(self) -> int:
        """Address of the first element; custom operators put it into their configuration."""
        return int(self.array.ctypes.data)

    @property
    def context(self) -> int:
        """The device that holds the tensor."""
        return self.device_id

    def clone(self) -> Tensor:
        """An independent copy."""
        return Tensor(self.array.copy(), self.device_id)

    def __repr__(self) -> str:
        return f"Tensor(shape={list(self.shape)}, dtype={self.array.dtype})"


def from_numpy(array: npt.ArrayLike, device_id: int = 0) -> Tensor:
    """Copy an array to the device.

    Raises:
        RunError: The element type is not one that tensors have.
    """
    copy = np.array(array, order="C")
    if not any(np.dtype(dtype) == copy.dtype for dtype in DTYPES.values()):
        if copy.dtype.kind != "f":
            raise RunError(
                f"a tensor cannot hold elements of type {copy.dtype}", hint="convert the array first"
            )
        copy = copy.astype(np.float32)  # float64 arrays come from plain Python arithmetic
    return Tensor(copy, device_id)
