"""From JSON to records whose every field has the type it declares, or a message that names the field."""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vacc_deploy.safe_io import CONTROL_CHARACTERS

_Record = TypeVar("_Record")


def typed_record(kind: type[_Record], data: Any, place: str = "") -> _Record:
    """The dataclass `kind` made of a JSON object.

    Args:
        kind: A dataclass of str, int, float, Any, ``X | None``, ``tuple[X, …]``, ``dict[str, X]``, records.
        data: What the JSON holds there.
        place: Its path in the document, for messages.

    Raises:
        ValueError: A field is missing, unknown, or of another type; names it.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{place or 'the document'} is not an object")
    assert is_dataclass(kind)
    declared = {item.name: item for item in fields(kind)}
    unknown = sorted(data.keys() - declared.keys())
    if unknown:
        raise ValueError(f"{place}{'.' if place else ''}{unknown[0][:40]} is unknown")
    hints = get_type_hints(kind)
    values = {}
    for name, item in declared.items():
        path = f"{place}.{name}" if place else name
        if name in data:
            values[name] = _typed(hints[name], data[name], path)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{path} is missing")
    return kind(**values)


def _typed(hint: Any, value: Any, place: str) -> Any:
    if hint is Any:
        return value
    if isinstance(hint, type) and is_dataclass(hint):
        return typed_record(hint, value, place)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _typed(arguments[0], value, place)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _typed(arguments[1], item, f"{place}.{key[:40]}") for key, item in value.items()}
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if hint is str and isinstance(value, str) and CONTROL_CHARACTERS.search(value):
        raise ValueError(f"{place} holds control characters")
    if hint in (str, int) and type(value) is hint:
        return value
    raise ValueError(f"{place} is {type(value).__name__}, which it cannot be")
