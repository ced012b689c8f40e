"""TorchScript's own program, looked through before torch runs it: nothing in it may name a file.

Its only ways to the disk are a few operators: `torch.from_file` maps any file for writing, and `torch.save`
writes one. A network needs neither. The text is searched as bytes, without a parser that could understand it
otherwise than torch does; comments, which could hide what is searched for and which torch never writes, are
refused.
"""

from __future__ import annotations

import re

_OPERATORS = rb"(?:aten|prim|quantized)"
_CLASSES = re.compile(rb"\btorch\b\W*\bclasses\b\W*\b(?!quantized\b)\w+")
# What is found → what it is. Between names anything but a name may stand: blanks, brackets, dots, line ends.
_FORBIDDEN: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"#"), "a comment, which torch does not write"),
    (re.compile(rb"\bfrom_file\b"), "torch.from_file, which reads and writes files"),
    (re.compile(rb"\b(?:torch|aten)\b\W*\bsave\b"), "torch.save, which writes files"),
    (re.compile(rb"\bgetattr\b\W*\b(?:torch|ops)\b"), "an operator under a hidden name"),
    (re.compile(rb"(?<!self\.)\bops\b\W*\b(?!" + _OPERATORS + rb"\b)\w+"), "operators of another library"),
    (_CLASSES, "classes of another library"),
)


def forbidden_in_code(code: bytes | bytearray) -> str | None:
    """What a network has no business with in a ``.py`` member of an archive, in words; None if nothing."""
    return next((what for pattern, what in _FORBIDDEN if pattern.search(code)), None)


def forbidden_in_pickle(data: bytes | bytearray) -> str | None:
    """The same for a ``.pkl`` member, which names the classes of the objects it holds."""
    return "classes of another library" if _CLASSES.search(data) else None
