"""Integer concatenation: every operand goes through its requantisation table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.runtime.reference.table import look_up

Array = npt.NDArray[Any]


def concat(operands: Sequence[Array], tables: Sequence[Array | None], axis: int = 1) -> Array:
    """The operands' codes, brought to one scale, side by side.

    Args:
        operands: int8 or uint8 codes.
        tables: One (256,) table per operand (`table.requantize_table`), none where scales are equal.
        axis: Axis to join along.

    Returns:
        Codes of the output's dtype.
    """
    parts = [q if table is None else look_up(q, table) for q, table in zip(operands, tables, strict=True)]
    return np.concatenate(parts, axis=axis)
