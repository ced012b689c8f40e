"""One hostile or broken file: how to build it, what opens it, and why it must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Attack:
    """A file that must be refused with one typed error.

    Attributes:
        why: What it tries, and what would happen without the defence.
        name: The file's name, with the ending that its readers expect.
        build: Writes the file; gets its path.  May write helpers beside it, or make no file at all.
        read: The function of the package that meets it.
        says: A part of the message that names the reason.
    """

    why: str
    name: str
    build: Callable[[Path], Any]
    read: Callable[[Path], Any]
    says: str


def text(content: str) -> Callable[[Path], Any]:
    """A builder for a text file."""
    return lambda path: path.write_text(content, encoding="utf-8")


def data(content: bytes) -> Callable[[Path], Any]:
    """A builder for a binary file."""
    return lambda path: path.write_bytes(content)
