"""vamp's spellings that a command-line parser does not know by itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

import typer

_STRAY = ("p", "i", "b", "d")  # the vendor's pages write `-i 1 p 1`, the dash of -p lost
_SHAPE_FLAGS = ("-s", "--shape")
_INTEGER = re.compile(r"-?\d+")


def repair_stray_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Give single letters that stand before a number their lost dash back.

    Returns:
        The repaired arguments, and one sentence per repair.

    Example:
        >>> repair_stray_flags(["-i", "1", "p", "2"])[0]
        ['-i', '1', '-p', '2']
    """
    repaired: list[str] = []
    notes: list[str] = []
    for index, word in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else ""
        is_value = bool(repaired) and repaired[-1].startswith("-") and "=" not in repaired[-1]
        if word in _STRAY and _INTEGER.fullmatch(following) and not is_value:
            notes.append(f"'{word} {following}' is taken as '-{word} {following}'")
            word = f"-{word}"
        repaired.append(word)
    return repaired, notes


def join_shape(arguments: Sequence[str]) -> list[str]:
    """Join the words of one shape: ``-s [3, 512, 512]`` and ``-s 3 512 512`` without quotes.

    Example:
        >>> join_shape(["-s", "[3,", "512,", "512]", "-b", "1"])
        ['-s', '[3, 512, 512]', '-b', '1']
    """
    joined: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        joined.append(word)
        if word not in _SHAPE_FLAGS or not words:
            continue
        value = words.pop(0)
        while words and (value.count("[") > value.count("]") or _INTEGER.fullmatch(words[0])):
            value += (
                ("," if not value.rstrip().endswith((",", "[")) and words[0][0] != "]" else "")
                + " "
                + words.pop(0)
            )
        joined.append(value)
    return joined


def parse_shapes(text: str) -> tuple[tuple[int, ...], ...]:
    """One shape per input from ``3,512,512``, ``[3,512,512]``, ``3x512x512`` or ``[[1,512],[1,512]]``.

    Raises:
        typer.BadParameter: It is none of them.

    Example:
        >>> parse_shapes("[3,512,512]")
        ((3, 512, 512),)
        >>> parse_shapes("[[1,512],[1,512]]")
        ((1, 512), (1, 512))
    """
    try:
        value = ast.literal_eval(re.sub(r"(?<=\d)\s*[x×]\s*(?=\d)", ",", text.strip()))
        shapes = value if isinstance(value[0], (list, tuple)) else [value]
        result = tuple(tuple(int(side) for side in shape) for shape in shapes)
    except (ValueError, SyntaxError, TypeError, IndexError):
        result = ()
    if not result or any(not shape or min(shape) < 1 for shape in result):
        raise typer.BadParameter(f"'{text}' is no shape; write C,H,W as in -s 3,512,512 or -s [3,512,512]")
    return result


def parse_named_shapes(texts: Sequence[str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Name ("" if none is said) and shape from each ``NAME:SHAPE`` or ``SHAPE``, spelt as for `parse_shapes`.

    Raises:
        typer.BadParameter: It is none of them.

    Example:
        >>> parse_named_shapes(["image:1,3,8,8", "[[1,512],[1,4]]"])
        (('image', (1, 3, 8, 8)), ('', (1, 512)), ('', (1, 4)))
    """
    named = []
    for text in texts:
        name, _, shape = text.rpartition(":")  # a name may hold colons itself
        shapes = parse_shapes(shape)
        if name and len(shapes) > 1:
            raise typer.BadParameter(f"'{text}' gives one input several shapes; write NAME:1,3,512,512")
        named += [(name, one) for one in shapes]
    return tuple(named)


def parse_device_ids(text: str) -> tuple[int, ...]:
    """Device ids from ``0``, ``0,1`` or ``[0,1]``.

    Raises:
        typer.BadParameter: It is none of them.

    Example:
        >>> parse_device_ids("[0, 1]")
        (0, 1)
    """
    numbers = _numbers(text)
    if not all(number.is_integer() for number in numbers):
        raise typer.BadParameter(f"'{text}' holds a number that is no device id")
    return tuple(int(number) for number in numbers)


def parse_percentiles(text: str) -> tuple[float, ...]:
    """Percentiles, in the same spellings; fractions are welcome (``99.9``).

    Raises:
        typer.BadParameter: It is no list of numbers.
    """
    return _numbers(text)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        value = ast.literal_eval(text.strip())
        return tuple(float(item) for item in (value if isinstance(value, (list, tuple)) else [value]))
    except (ValueError, SyntaxError, TypeError, OverflowError):
        raise typer.BadParameter(f"'{text}' is no list of numbers; write 0,1 or [0,1]") from None
