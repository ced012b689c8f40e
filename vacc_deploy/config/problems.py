"""From pydantic's findings to errors that name the place, the reason and the likely remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from vacc_deploy.config.dialect import Normalised
from vacc_deploy.config.process_ops import OP_TYPES
from vacc_deploy.config.suggest import did_you_mean, hint_for
from vacc_deploy.errors import ConfigError, ErrorList, VdeployError
from vacc_deploy.safe_io import KeyPath

_Section = TypeVar("_Section", bound=BaseModel)

_MAX_PROBLEMS = 20  # reported in one pass; nobody reads more
_KINDS = {
    "model_type": "a section with keys below it", "model_attributes_type": "a section with keys below it",
    "dict_type": "a section with keys below it", "list_type": "a list", "tuple_type": "a list",
    "none_required": "empty",
}  # fmt: skip


def validated(source: Normalised, root: type[_Section]) -> _Section:
    """The data of a build YAML as sections.

    A misspelt key is reported and then taken for the one that was meant, so that what stands below it is
    checked in the same pass.

    Raises:
        ErrorList: Every problem, in the order of the file's lines.
    """
    errors: list[ConfigError] = []
    while True:
        try:
            section, details = root.model_validate(source.data), []
        except ValidationError as error:
            details = error.errors(include_url=False)[: _MAX_PROBLEMS - len(errors)]
        misspelt = _misspelt_keys(details, source, root)
        if not misspelt:
            break
        for path, meant in misspelt.items():
            errors.append(_unknown_key(path, source, root))
            source.rename(path, meant)
        source.settle()
    errors += [_one(detail, source, root) for detail in details]
    if errors:
        raise ErrorList(sorted(errors, key=_line)) from None
    return section


def _misspelt_keys(
    details: Iterable[Mapping[str, Any]], source: Normalised, root: type[BaseModel]
) -> dict[KeyPath, str]:
    """Path of an unknown key → the known key beside which it does not stand, and which it resembles."""
    found: dict[KeyPath, str] = {}
    for detail in details:
        if detail["type"] != "extra_forbidden":
            continue
        path = _data_path(source.data, detail["loc"])
        parent = path[:-1]
        meant = did_you_mean(path[-1], _known_keys(root, source.data, parent))
        claimed = {key for other, key in found.items() if other[:-1] == parent}
        if meant is not None and meant not in {*_at(source.data, parent), *claimed}:
            found[path] = meant
    return found


def _line(error: VdeployError) -> tuple[int, int]:
    numbers = (error.where or "").rsplit(":", 2)[1:]
    return (
        (int(numbers[0]), int(numbers[1]))
        if len(numbers) == 2 and all(n.isdigit() for n in numbers)
        else (0, 0)
    )


def _one(detail: Mapping[str, Any], source: Normalised, root: type[BaseModel]) -> ConfigError:
    path = _data_path(source.data, detail["loc"])
    kind, name = detail["type"], dotted(source.original(path))
    if kind == "missing":
        return _missing(path, source)
    if kind == "extra_forbidden":
        return _unknown_key(path, source, root)
    where = source.positions.value(source.original(path))
    value = detail["input"]
    if kind == "literal_error":
        choices = _choices(detail["ctx"]["expected"])
        return ConfigError(
            f"{_show(value)} is not a value of {name}", where=where, hint=hint_for(value, choices)
        )
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_op(path, value, source)
    if kind in _KINDS:
        return ConfigError(
            f"{name} must be {_KINDS[kind]}, not {_show(value)}", where=where, hint="correct the value"
        )
    if kind == "too_short":
        return ConfigError(f"{name} must not be empty", where=where, hint="name at least one")
    message = str(detail["msg"])
    message = (message[0].lower() + message[1:]).replace("input should be", "must be")
    subject = f"{name} " if message.startswith("must ") else f"{name}: "
    suffix = f", not {_show(value)}" if kind in ("whole_number", "truth", "number", "text") else ""
    return ConfigError(f"{subject}{message}{suffix}", where=where, hint="correct the value")


def _data_path(data: Any, location: Iterable[str | int]) -> KeyPath:
    """Pydantic's location without the names of union members, which are not in the file."""
    path: list[str | int] = []
    steps = list(location)
    for index, step in enumerate(steps):
        is_last = index == len(steps) - 1
        if isinstance(data, dict) and step not in data and (data.get("type") == step or not is_last):
            continue
        path.append(step)
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, (list, tuple)) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            data = None
    return tuple(path)


def _missing(path: KeyPath, source: Normalised) -> ConfigError:
    parent, key = path[:-1], str(path[-1])
    where = source.positions.key(source.original(parent))
    section = dotted(parent) or "the file"
    return ConfigError(
        f"{section} has no '{key}'", where=where, hint=_MISSING_HINTS.get(key, f"add '{key}:'")
    )


_MISSING_HINTS = {
    "type": "add 'type: onnx' or 'type: pytorch'",
    "shape": "add the inputs' names and shapes, such as 'shape: {input: [1, 3, 256, 256]}'",
    "checkpoint": "add 'checkpoint:' with the path of an .onnx or TorchScript file",
    "dtype": "add 'dtype: int8' or 'dtype: fp16'",
}


def _unknown_key(path: KeyPath, source: Normalised, root: type[BaseModel]) -> ConfigError:
    parent, key = path[:-1], path[-1]
    known = _known_keys(root, source.data, parent)
    section = dotted(parent) or "the file"
    return ConfigError(
        f"unknown key '{str(key)[:80]}' in {section}",
        where=source.positions.key(source.original(path)),
        hint=hint_for(key, known),
    )


def _unknown_op(path: KeyPath, value: Any, source: Normalised) -> ConfigError:
    where = source.positions.value(source.original((*path, "type")))
    if not isinstance(value, dict) or "type" not in value:
        return ConfigError(f"{dotted(path)} has no 'type'", where=where, hint=hint_for("", OP_TYPES))
    return ConfigError(
        f"unknown process op {_show(value['type'])}", where=where, hint=hint_for(value["type"], OP_TYPES)
    )


def _known_keys(model: type[BaseModel], data: Any, path: KeyPath) -> list[str]:
    """The keys that the section at `path` may have."""
    current: type[BaseModel] | None = model
    for step in path:
        data = _at(data, (step,))
        if current is None or isinstance(step, int):
            continue
        field = next((f for name, f in current.model_fields.items() if step in (name, f.alias)), None)
        current = _section_type(field.annotation, data) if field is not None else None
    if current is None:
        return []
    if isinstance(data, dict) and "type" in data:
        current = _op_model(data["type"]) or current
    return [field.alias or name for name, field in current.model_fields.items()]


def _section_type(annotation: Any, data: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _section_type(inner, data)
        if found is not None:
            return found
    return None


def _op_model(kind: Any) -> type[BaseModel] | None:
    from vacc_deploy.config import process_ops

    return getattr(process_ops, kind) if kind in OP_TYPES else None


def _at(data: Any, path: KeyPath) -> Any:
    for step in path:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, (list, tuple)) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _choices(expected: str) -> list[str]:
    return [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]


def dotted(path: Iterable[str | int]) -> str:
    """``dataset.process_ops[1].size``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{str(step)[:80]}" if text else str(step)[:80]
    return text


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
