"""Numbers as text of the calibration table: ``"0x1.91eb86p-1 (0.785)"``, exact, then a decimal for people.

Whoever edits the decimal alone changes the value: it wins where the two disagree.
"""

from __future__ import annotations

import re
from typing import Any

from vacc_deploy.errors import DataError

_NUMBER = re.compile(r"^\s*(?P<exact>[+-]?0x[0-9a-fA-F.]+p[+-]?\d+)\s*(?:\((?P<shown>[^()]+)\))?\s*$")


def write_number(value: float) -> str:
    """``value`` exactly and for people: ``"0x1.8000000000000p-1 (0.75)"``."""
    return f"{float(value).hex()} ({value:.9g})"


def read_number(text: Any, where: str) -> float:
    """The number that `write_number` wrote, or that a person put in its place.

    Raises:
        DataError: It is neither.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    try:
        match = _NUMBER.match(text)
        if match is None:
            return float(text)
        exact = float.fromhex(match["exact"])
        if match["shown"] is not None and match["shown"].strip() != f"{exact:.9g}":
            return float(match["shown"])
        return exact
    except (TypeError, ValueError) as error:
        hint = 'write a plain number, or "0x1.8p-1 (0.75)"'
        raise DataError(
            "the calibration table holds something that is not a number", where=where, hint=hint
        ) from error
