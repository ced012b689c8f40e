"""ONNX codes as they are stored: uint8, a symmetric int8 shifted by 128."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.qdq_groups import Group

Array = npt.NDArray[Any]


def stored_codes(array: Array) -> Array:
    """int8 or uint8 codes as uint8."""
    return (array.astype(np.int16) + 128 * (array.dtype == np.int8)).astype(np.uint8)


def stored_range(group: Group) -> tuple[int, int]:
    """Smallest and largest stored code of a group's result, a fused activation included."""
    assert group.output is not None
    shift = 128 * (group.output.dtype == "int8")
    return (group.lo + shift, group.hi + shift)
