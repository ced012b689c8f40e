"""vdsp JSON files: the run stream's pre-processing, in the present format and in the two old ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.resources import as_file
from pathlib import Path
from typing import Any

from vacc_deploy.config import vdsp_names as names
from vacc_deploy.config.remark import Level, Remark
from vacc_deploy.config.shipped import shipped_files
from vacc_deploy.config.suggest import did_you_mean, hint_for
from vacc_deploy.config.vdsp_advice import advise
from vacc_deploy.config.vdsp_legacy import is_legacy, modernise
from vacc_deploy.errors import ConfigError, ErrorList
from vacc_deploy.safe_io import KeyPath, PathLike, Positions, read_json_located

_MAX_OPERATORS, _MAX_KEYS = 100, 200


@dataclass(frozen=True, slots=True)
class VdspParams:
    """One operator of a vdsp JSON.

    Attributes:
        op_type: The operator's name, one of `vdsp_names.OP_TYPES`.
        config: ``OpConfig`` with the file's own keys, known and unknown; old files' values decoded.
        source: The file's name as the user gave it.
        remarks: Warnings and notes about the operator.
    """

    op_type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    remarks: tuple[Remark, ...] = ()

    @property
    def warnings(self) -> tuple[Remark, ...]:
        """What to look at."""
        return tuple(remark for remark in self.remarks if remark.level == "warning")

    def to_json(self) -> dict[str, Any]:
        """The operator in the present file format."""
        return {"OpType": self.op_type, "OpConfig": dict(self.config)}


def load_vdsp_params(path: PathLike) -> list[VdspParams]:
    """The operators of a vdsp JSON file: one, or several where the file holds a list.

    Args:
        path: An existing file, or the bare name of one that comes with the package.

    Raises:
        FileError: The file cannot be read or is not strict JSON.
        ErrorList: It is JSON but not vdsp parameters; every problem with line and column.
    """
    given = Path(path)
    shipped = None if given.exists() else shipped_files("vdsp_params").get(str(given))
    with nullcontext(given) if shipped is None else as_file(shipped) as file:
        return vdsp_params(*read_json_located(file))


def load_vdsp_operator(path: PathLike) -> VdspParams:
    """The one operator of a vdsp JSON that stands before a network.

    Raises:
        ConfigError: The file holds several.
        VdeployError: As `load_vdsp_params`.
    """
    operators = load_vdsp_params(path)
    if len(operators) != 1:
        raise ConfigError(f"{path} holds {len(operators)} vdsp operators, a network takes one")
    return operators[0]


def vdsp_params(data: Any, positions: Positions) -> list[VdspParams]:
    """Check the data of a vdsp JSON.

    Raises:
        ErrorList: The data are not vdsp parameters.
    """
    entries = data if isinstance(data, list) else [data]
    if len(entries) > _MAX_OPERATORS:
        what = f"the file holds {len(entries)} operators"
        raise ErrorList([ConfigError(what, where=positions.file, hint="no run stream has so many")])
    checks = [
        _Check(entry, (index,) if isinstance(data, list) else (), positions)
        for index, entry in enumerate(entries)
    ]
    if not checks:
        raise ErrorList([ConfigError("the file holds no operator", where=positions.file, hint="add one")])
    operators = [check.run() for check in checks]
    errors = [error for check in checks for error in check.errors]
    if errors:
        raise ErrorList(errors)
    return operators


class _Check:
    """One operator being checked: collects all errors and remarks."""

    def __init__(self, entry: Any, path: KeyPath, positions: Positions) -> None:
        self.entry = entry
        self.path = path
        self.positions = positions
        self.errors: list[ConfigError] = []
        self.remarks: list[Remark] = []

    def error(self, path: KeyPath, what: str, hint: str) -> None:
        self.errors.append(ConfigError(what, where=self.positions.value((*self.path, *path)), hint=hint))

    def remark(self, path: KeyPath, what: str, level: Level = "warning") -> None:
        self.remarks.append(Remark(what, self.positions.key((*self.path, *path)), level))

    def run(self) -> VdspParams:
        entry = self.entry
        if _largest(entry) > _MAX_KEYS:
            self.error((), f"an object of {_largest(entry)} keys", "no vdsp operator has so many")
            return VdspParams("")
        if isinstance(entry, dict) and is_legacy(entry):
            entry = modernise(entry, self.error, self.remark)
        if not isinstance(entry, dict) or "OpType" not in entry:
            close = did_you_mean("OpType", entry) if isinstance(entry, dict) else None
            hint = (
                f"'{close}' is there: did you mean 'OpType'?"
                if close
                else "a vdsp JSON has OpType and OpConfig"
            )
            self.error((), "not vdsp parameters: there is no OpType", hint)
            return VdspParams("")
        op_type = entry["OpType"]
        if op_type not in names.OP_TYPES:
            self.error(
                ("OpType",), f"unknown vdsp operator '{str(op_type)[:80]}'", hint_for(op_type, names.OP_TYPES)
            )
        config = entry.get("OpConfig")
        if config is not None and not isinstance(config, dict):
            self.error(("OpConfig",), "OpConfig must be an object", 'write {"Key": value, …}')
        config = config if isinstance(config, dict) else {}
        for key in sorted(set(entry) - {"OpType", "OpConfig"}):
            self.remark((key,), f"'{key}' is not a key of a vdsp operator and is ignored")
        for key, value in config.items():
            self._value(key, value)
        if not self.errors:
            advise(str(op_type), config, self.error, self.remark)
        return VdspParams(str(op_type), config, self.positions.file, tuple(self.remarks))

    def _value(self, key: str, value: Any) -> None:
        rule = _RULES.get(key)
        if rule is None:
            close = did_you_mean(key, _RULES)
            self.remark(
                ("OpConfig", key),
                f"'{key}' is not a known key of OpConfig; it is kept and has no effect"
                + (f": did you mean '{close}'?" if close else ""),
            )
        else:
            problem = rule(value)
            if problem is not None:
                self.error(("OpConfig", key), f"{key}: {problem[0]}", problem[1])


def _largest(entry: Any) -> int:
    """Keys of the operator's object, or of its OpConfig."""
    objects = [entry, entry.get("OpConfig")] if isinstance(entry, dict) else []
    return max((len(item) for item in objects if isinstance(item, dict)), default=0)


_Problem = tuple[str, str] | None
_Rule = Callable[[Any], _Problem]


def _whole(low: int, high: int) -> _Rule:
    def rule(value: Any) -> _Problem:
        if type(value) is int and low <= value <= high:
            return None
        return f"{_show(value)} is not a whole number from {low} to {high}", "correct the value"

    return rule


def _numbers(*lengths: int) -> _Rule:
    def rule(value: Any) -> _Problem:
        if not isinstance(value, list):
            value = [value] if 1 in lengths else value
        if isinstance(value, list) and len(value) in lengths and all(_is_number(item) for item in value):
            return None
        return (
            f"{_show(value)} is not a list of {' or '.join(map(str, lengths))} numbers",
            "correct the value",
        )

    return rule


def _crops(value: Any) -> _Problem:
    values = value if isinstance(value, list) else [value]
    if values and all(type(item) is int and 0 <= item <= _MAX_SIDE for item in values):
        return None
    return f"{_show(value)} is not a number of pixels", "correct the value"


def _name(known: Mapping[str, int] | tuple[str, ...], *, numbers: range = range(0)) -> _Rule:
    def rule(value: Any) -> _Problem:
        if isinstance(value, str) and value in known:
            return None
        if type(value) is int and (
            value in numbers or (isinstance(known, Mapping) and value in known.values())
        ):
            return None
        return f"{_show(value)} is not known", hint_for(value, known)

    return rule


def _anything(value: Any) -> _Problem:
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


_MAX_SIDE = 1 << 16
_SIZE = _whole(1, _MAX_SIDE)
_MARGIN = _whole(0, _MAX_SIDE)
_RULES: dict[str, _Rule] = {
    "IimageFormat": _name(names.IMAGE_FORMATS), "OimageFormat": _name(names.IMAGE_FORMATS),
    **dict.fromkeys(
        (
            "IimageWidth", "IimageHeight", "IimageWidthPitch", "IimageHeightPitch", "OimageWidth",
            "OimageHeight", "OimageWidthPitch", "OimageHeightPitch", "ResizeWidth", "ResizeHeight",
        ), _SIZE,
    ),
    **dict.fromkeys(("OimageCnt", "CropNum"), _whole(1, 4096)),
    **dict.fromkeys(("CropX", "CropY", "CropWidth", "CropHeight"), _crops),
    **dict.fromkeys(("PaddingLeft", "PaddingRight", "PaddingTop", "PaddingBottom"), _MARGIN),
    **dict.fromkeys(("EdgeTop", "EdgeBottom", "EdgeLeft", "EdgeRight"), _MARGIN),
    "ResizeType": _name(names.RESIZE_TYPES, numbers=range(5)),
    "NormaType": _name(names.NORMA_TYPES),
    "ColorCvtCode": _name(names.COLOR_CVT_CODES, numbers=range(15)),
    "ColorSpace": _name(names.COLOR_SPACES),
    "EdgePaddingType": _name(names.EDGE_PADDING_TYPES),
    "Mean": _numbers(1, 3), "Std": _numbers(1, 3), "Scale": _numbers(1, 3), "Padding": _numbers(1, 3),
    "BorderValue": _numbers(1, 3, 4), "M": _numbers(6),
    "Direction": _whole(-1, 255), "Flags": _whole(0, 255), "BorderMode": _whole(0, 255),
    "TensorType0": _anything,
}  # fmt: skip
KNOWN_KEYS: tuple[str, ...] = tuple(_RULES)
