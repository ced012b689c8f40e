"""What all sections of the build YAML have in common, and the types their values share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A mapping of the build YAML: fixed keys, read once, never changed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        coerce_numbers_to_str=True,
        protected_namespaces=(),
    )


def _whole_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("whole_number", "must be a whole number")
    return value


def _truth(value: Any) -> Any:
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("on", "off", "yes", "no"):
        return value.lower() in ("on", "yes")
    raise PydanticCustomError("truth", "must be true or false")


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PydanticCustomError("number", "must be a number")
    return float(value)


def _text(value: Any) -> Any:
    if isinstance(value, (list, dict, bool)) or value is None:
        raise PydanticCustomError("text", "must be a word or a path")
    return str(value)


Int = Annotated[int, BeforeValidator(_whole_number)]
Bool = Annotated[bool, BeforeValidator(_truth)]
Float = Annotated[float, BeforeValidator(_number)]
Text = Annotated[str, BeforeValidator(_text)]
