"""What a valid vdsp operator should make its owner look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vacc_deploy.config.remark import Level
from vacc_deploy.config.vdsp_names import USES_MEAN_STD

_SMALLEST_NORMAL_HALF = 2.0**-14
_SMALLEST_HALF = 2.0**-25  # what rounds to zero in fp16

ReportError = Callable[[tuple[str | int, ...], str, str], None]
ReportRemark = Callable[[tuple[str | int, ...], str, Level], None]


def advise(op_type: str, config: Mapping[str, Any], error: ReportError, remark: ReportRemark) -> None:
    """Report contradictions and probable mistakes in an operator whose values are each valid."""
    if not op_type.startswith("FUSION_OP_"):
        return
    _normalisation(config, error, remark)
    _crop(op_type, config, remark)
    for side in ("Width", "Height"):
        size, pitch = config.get(f"Iimage{side}"), config.get(f"Iimage{side}Pitch")
        if size is not None and pitch is not None and size != pitch:
            remark(
                ("OpConfig", f"Iimage{side}Pitch"),
                f"the pitch {pitch} is not Iimage{side} {size}; both are placeholders",
                "note",
            )
    if ("OimageWidth" in config) != ("OimageHeight" in config):
        remark(
            ("OpConfig",),
            "only one of OimageWidth and OimageHeight is given: the model's input decides",
            "warning",
        )


def _normalisation(config: Mapping[str, Any], error: ReportError, remark: ReportRemark) -> None:
    kind = config.get("NormaType", "EQUAL")
    path = ("OpConfig", "NormaType")
    if "NormaType" not in config:
        remark(("OpConfig",), "there is no NormaType: pixels stay 0…255", "warning")
    if kind not in USES_MEAN_STD:
        if any(value not in (0, 1) for key in ("Mean", "Std") for value in _values(config, key)):
            remark(path, f"Mean and Std are not used by {kind}", "note")
        return
    for key in ("Mean", "Std"):
        if key not in config:
            error(path, f"{kind} needs {key}, which is missing", f"add {key}, or choose another NormaType")
    std, mean = _values(config, "Std"), _values(config, "Mean")
    if any(abs(value) < _SMALLEST_HALF for value in std):
        error(
            ("OpConfig", "Std"),
            "Std holds a 0 (in fp16), by which nothing can be divided",
            "give the divisor, or 1",
        )
    elif any(abs(value) < _SMALLEST_NORMAL_HALF for value in std):
        remark(
            ("OpConfig", "Std"),
            "Std is below the smallest normal fp16 number: 1 stored as a bit pattern?",
            "warning",
        )
    if (
        kind == "MINUSMEAN_DIVSTD"
        and mean
        and all(value == 1 for value in mean)
        and any(value > 1 for value in std)
    ):
        remark(path, "this is (x − 1) / std; for x / 127.5 − 1 use DIV1275_MINUSONE", "warning")
    if kind == "DIV255_MINUSMEAN_DIVSTD" and any(value > 1.5 for value in mean):
        remark(
            ("OpConfig", "Mean"), "Mean is on the 0…255 scale and NormaType divides by 255 first", "warning"
        )


def _crop(op_type: str, config: Mapping[str, Any], remark: ReportRemark) -> None:
    if "_CROP_" not in op_type:
        return
    for side, start in (("Width", "CropX"), ("Height", "CropY")):
        values = [config.get(key) for key in (f"Resize{side}", start, f"Oimage{side}")]
        if all(type(value) is int for value in values) and values[1] + values[2] > values[0]:  # type: ignore[operator]
            remark(
                ("OpConfig", start),
                f"{start} {values[1]} + Oimage{side} {values[2]} reach beyond Resize{side} {values[0]}",
                "warning",
            )


def _values(config: Mapping[str, Any], key: str) -> list[float]:
    value = config.get(key, [])
    return [float(item) for item in value] if isinstance(value, list) else [float(value)]
