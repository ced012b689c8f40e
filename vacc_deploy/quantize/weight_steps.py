"""How far chosen weight codes lie from the nearest ones, as text of the calibration table.

Almost all differences are −1, 0 or 1, so zlib brings a weight to about a bit; base64 makes it text.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import DataError

Array = npt.NDArray[Any]


def write_steps(steps: Array) -> str:
    """`steps`, small integers of any shape, as text; empty if all are 0."""
    if not steps.any():
        return ""
    return base64.b64encode(zlib.compress(steps.astype(np.int8).tobytes(), 6)).decode()


def read_steps(text: str, shape: Sequence[int], where: str) -> Array:
    """What `write_steps` wrote, int8 of `shape`.

    Raises:
        DataError: It is something else; never more than `shape` asks for is unpacked.
    """
    size = math.prod(shape)
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise _broken(where, str(error)) from error
    if len(unpacked) != size:
        raise _broken(where, f"it does not hold {size} weights")
    return np.frombuffer(unpacked, np.int8).reshape(shape)


def _broken(where: str, why: str) -> DataError:
    hint = "calibrate again, or delete the line: the nearest codes are used without it"
    return DataError("the calibration table's `rounding` cannot be read", where=where, why=why, hint=hint)
