"""JSON as the standard has it: no duplicate keys, no NaN, no number beyond a float64, bounded depth."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from vacc_deploy.safe_io.limits import (
    MAX_CONFIG_BYTES,
    MAX_DEPTH,
    MAX_JSON_BYTES,
    MAX_JSON_VALUES,
    MAX_NUMBER_CHARS,
)
from vacc_deploy.safe_io.positions import Position, Positions
from vacc_deploy.safe_io.source import PathLike, file_error, read_text

_SURROGATE = re.compile(r"\\u[dD]")


class _RefusedError(ValueError):
    """Valid for Python's parser, refused by us."""


def _no_duplicates(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(f"the key {key[:80]!r} stands twice in one object")
            seen.add(key)
    return result


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER_CHARS:
        raise _RefusedError(f"a number of {len(text)} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text) if len(text) <= 4 * MAX_NUMBER_CHARS else math.inf
    if not math.isfinite(value):
        raise _RefusedError(f"the number {text[:40]} is beyond a 64-bit float")
    return value


def _constant(text: str) -> float:
    raise _RefusedError(f"{text} is not a number that JSON knows")


def parse_json(text: str, where: str) -> Any:
    """Parse a JSON document.

    Args:
        text: The document.
        where: The file's name, for messages.

    Raises:
        FileError: The text is not strict JSON; names line and column.
    """
    try:
        # Each value but the first follows one of these; commas in strings count too, which does no harm.
        if sum(map(text.count, ",[{")) > MAX_JSON_VALUES:
            raise _RefusedError(f"more than {MAX_JSON_VALUES} values")
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_constant,
        )
        if _SURROGATE.search(text):  # half a character can be escaped, but never be written again
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeEncodeError:
        raise file_error(where, "not valid JSON: it holds half a character", "correct the file") from None
    except json.JSONDecodeError as error:
        raise file_error(
            f"{where}:{error.lineno}:{error.colno}", f"not valid JSON: {error.msg}", "correct the file"
        ) from None
    except _RefusedError as error:
        raise file_error(where, f"not valid JSON: {error}", "correct the file") from None
    except RecursionError:
        raise file_error(where, "not valid JSON: nested too deeply", "correct the file") from None


# A string (a missing end matches too, or a hostile text would be scanned again from each of its quotes), or a
# bracket.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)'
_BRACKET = re.compile(_STRING + r"|[\[\]{}]", re.DOTALL)


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _BRACKET.finditer(text):
        token = match[0]
        if token in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _RefusedError(f"nested more than {MAX_DEPTH} levels deep")
        elif token in "]}":
            depth -= 1


def read_json_document(path: PathLike, limit: int = MAX_JSON_BYTES) -> Any:
    """The contents of a JSON file, whatever its outermost value.

    Raises:
        FileError: The file is unreadable, too large, or not strict JSON.
    """
    return parse_json(read_text(path, limit), str(path))


def read_json(path: PathLike, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        FileError: The file is unreadable, too large, not strict JSON, or not an object.
    """
    data = read_json_document(path, limit)
    if not isinstance(data, dict):
        raise file_error(
            path, f"holds a JSON {type(data).__name__}, not an object", "check that it is the right file"
        )
    return data


def read_json_located(path: PathLike, limit: int = MAX_CONFIG_BYTES) -> tuple[Any, Positions]:
    """The contents of a JSON file and where each of its values stands.

    Raises:
        FileError: The file is unreadable, too large, or not strict JSON.
    """
    text = read_text(path, limit)
    data = parse_json(text, str(path))
    return data, _locate(text, str(path))


_TOKEN = re.compile(r"\s+|" + _STRING + r"|[\[\]{},:]|[^\s\[\]{},:\"]+", re.DOTALL)


def _locate(text: str, where: str) -> Positions:
    """Positions of every key and value of a document that `parse_json` accepted."""
    positions = Positions(where)
    newlines = [-1] + [match.start() for match in re.finditer("\n", text)]
    line = 0
    stack: list[list[Any]] = []  # [is an object, current key or index, a key is expected]

    def path() -> tuple[str | int, ...]:
        return tuple(level[1] for level in stack)

    for match in _TOKEN.finditer(text):
        start, token = match.start(), match[0]
        if token.isspace():
            continue
        while line + 1 < len(newlines) and newlines[line + 1] < start:
            line += 1
        here = Position(line + 1, start - newlines[line])
        if token in "]}":
            stack.pop()
        elif token == ",":
            level = stack[-1]
            if level[0]:
                level[2] = True
            else:
                level[1] += 1
        elif token == ":":
            stack[-1][2] = False
        elif stack and stack[-1][0] and stack[-1][2]:
            stack[-1][1] = json.loads(token)
            positions.keys[path()] = here
        else:
            positions.values[path()] = here
            if token in "[{":
                stack.append([token == "{", 0, token == "{"])
    return positions
