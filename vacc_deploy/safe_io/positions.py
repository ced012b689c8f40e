"""Where in a text file each key and value stands, so that an error can point at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

KeyPath = tuple[str | int, ...]


class Position(NamedTuple):
    """A place in a text file, both numbers counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Positions:
    """The places of all keys and values of one file, by their path from the root.

    Attributes:
        file: The file's name as the user gave it.
        keys: Path of a mapping's entry → where its key stands.
        values: Path of a value → where it begins.
    """

    file: str
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)

    def key(self, path: KeyPath) -> str:
        """``file:line:column`` of the entry's key, or of the nearest thing around it that has a place."""
        return self._nearest(path, self.keys, self.values)

    def value(self, path: KeyPath) -> str:
        """``file:line:column`` of the value, or of the nearest thing around it that has a place."""
        return self._nearest(path, self.values, self.keys)

    def _nearest(self, path: KeyPath, *tables: dict[KeyPath, Position]) -> str:
        for length in range(len(path), -1, -1):
            for table in tables:
                position = table.get(path[:length])
                if position is not None:
                    return f"{self.file}:{position.line}:{position.column}"
        return self.file
