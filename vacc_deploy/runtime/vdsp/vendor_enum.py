"""The vendor's enumerations: numbers that scripts compare and files hold, printed by name."""

from __future__ import annotations

from enum import Enum, IntEnum


class VendorEnum(IntEnum):
    """An int that prints as ``ImageFormat.GRAY``, under every version of Python.

    Python 3.11 and later print an IntEnum as its number.
    """

    __str__ = Enum.__str__

    def __format__(self, spec: str) -> str:
        """The name; with a format specification, the number."""
        return format(int(self), spec) if spec else str(self)
