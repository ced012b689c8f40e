"""vdsp files of old vamp versions: a list of properties or one flat object; fp16 values as bit patterns."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from vacc_deploy.config import vdsp_names as names

_COLOR_SPACES = {1: "BT601"}
_NORMA_TYPES = {4: "DIV255_MINUSMEAN_DIVSTD"}  # of the built-in operators; their other numbers are not public
_RESIZE_TYPES = {1: "BILINEAR_CV"}
_CHANNELS = {
    f"{word}{channel}": (word.capitalize(), "rgb".index(channel))
    for word in ("mean", "std")
    for channel in "rgb"
}
_PADDING = {f"padding_value_{channel}": index for index, channel in enumerate("rgb")}
_PREFIXES = ("COLOR_SPACE_", "COLOR_", "EDGE_PADDING_TYPE_")
_NUMBERED: dict[str, dict[int, str]] = {
    "norma_type": _NORMA_TYPES, "resize_type": _RESIZE_TYPES, "color_space": _COLOR_SPACES,
    "color_cvt_code": dict(enumerate(names.COLOR_CVT_CODES[:-1])),
    "iimage_format": {number: name for name, number in reversed(names.IMAGE_FORMATS.items())},
    "oimage_format": {number: name for name, number in reversed(names.IMAGE_FORMATS.items())},
}  # fmt: skip

ReportError = Callable[[tuple[str | int, ...], str, str], None]
ReportRemark = Callable[[tuple[str | int, ...], str], None]


def is_legacy(entry: dict[str, Any]) -> bool:
    """Whether an operator is in one of the old formats."""
    return "vdsp_op_type" in entry


def modernise(entry: dict[str, Any], error: ReportError, remark: ReportRemark) -> dict[str, Any]:
    """An old operator in the present format.

    Example:
        ``{"vdsp_op_type": 301, "meanr": 14336, "norma_type": 4, …}`` becomes ``{"OpType": "FUSION_OP_…",
        "OpConfig": {"Mean": [0.5, …], "NormaType": "DIV255_MINUSMEAN_DIVSTD", …}}``.
    """
    remark(
        ("vdsp_op_type",), "an old vdsp format; it is understood, and 'vamp' today wants OpType and OpConfig"
    )
    properties = _properties(entry, error)
    config: dict[str, Any] = {}
    for name, (value, path) in properties.items():
        if name in _CHANNELS:
            key, index = _CHANNELS[name]
            number = _half(value)
            if number is None:
                error(path, f"{name}: {value!r} is not the bit pattern of an fp16 number", "give 0 to 65535")
            else:
                config.setdefault(key, [0.0, 0.0, 0.0])[index] = number
        elif name in _PADDING:
            config.setdefault("Padding", [114, 114, 114])[_PADDING[name]] = value
        else:
            config[_camel_case(name)] = _named(name, value, path, error)
    return {"OpType": _op_type(entry["vdsp_op_type"], properties, error), "OpConfig": config}


def _properties(entry: dict[str, Any], error: ReportError) -> dict[str, tuple[Any, tuple[str | int, ...]]]:
    """Property name → its value and where it stands."""
    if "config" not in entry:
        return {name: (value, (name,)) for name, value in entry.items() if name != "vdsp_op_type"}
    result: dict[str, tuple[Any, tuple[str | int, ...]]] = {}
    items = entry["config"]
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict) and isinstance(item.get("Property"), str) and "Value" in item:
            result[item["Property"]] = (item["Value"], ("config", index, "Value"))
        else:
            error(("config", index), "a property needs Property and Value", "complete it")
    if not isinstance(items, list):
        error(("config",), "config must be a list of properties", 'write [{"Property": …, "Value": …}, …]')
    return result


def _half(value: Any) -> float | None:
    """The number whose IEEE half-precision bit pattern is `value`."""
    if type(value) is not int or not 0 <= value <= 0xFFFF:
        return None
    number: float = struct.unpack("<e", struct.pack("<H", value))[0]
    return number if number - number == 0 else None  # not infinite, not NaN


def _camel_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _named(name: str, value: Any, path: tuple[str | int, ...], error: ReportError) -> Any:
    if isinstance(value, str):
        for prefix in _PREFIXES:
            value = value.removeprefix(prefix)
        return value
    table = _NUMBERED.get(name)
    if table is None or type(value) is not int:
        return value
    if value not in table:
        error(
            path,
            f"{name}: what the number {value} means is not public",
            "write the name instead of the number",
        )
        return None
    return table[value]


def _op_type(value: Any, properties: dict[str, Any], error: ReportError) -> str:
    if isinstance(value, str):
        name = re.sub(r"_U8$", "", value).replace("NORMALIZATION_TENSORIZATION", "NORM_TENSOR")
        name = name if name.startswith(("FUSION_OP_", "SINGLE_OP_", "BERT_")) else f"FUSION_OP_{name}"
        if name not in names.OP_TYPES:
            error(
                ("vdsp_op_type",),
                f"unknown vdsp operator '{value[:80]}'",
                "one of: " + ", ".join(names.OP_TYPES),
            )
        return name
    # The numbers of the operators are not public; the properties tell which of the three it is.
    if "crop_x" in properties:
        steps = "RESIZE_CVTCOLOR_CROP"
    elif any(name.startswith("padding") for name in properties):
        steps = "LETTERBOX_CVTCOLOR"
    else:
        steps = "RESIZE_CVTCOLOR"
    return f"FUSION_OP_RGB_{steps}_NORM_TENSOR"
