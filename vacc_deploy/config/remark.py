"""What a config file does that is not an error but worth a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["warning", "note"]


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about one place of a file.

    Attributes:
        what: The sentence.
        where: ``file:line:column``.
        level: ``warning``: look at it.  ``note``: for the record, such as keys without effect in emulation.
    """

    what: str
    where: str
    level: Level = "warning"

    @property
    def line(self) -> str:
        """On one line, as JSON documents and Python warnings have it; these say the level themselves."""
        return f"{self.where}: {self.what}"

    def __str__(self) -> str:
        return f"{self.level}: {self.what}\n  --> {self.where}"
