"""The calibration table: everything that `quantize` needs, as text that a person can read, edit and diff.

Numbers that matter to the last bit are written as `exact_number` does. A layer's precision is edited in its
``precision`` field; ``quantize`` takes the table as it then is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from vacc_deploy.config.suggest import hint_for
from vacc_deploy.errors import DataError, VdeployError
from vacc_deploy.quantize.calibrators.registry import Range
from vacc_deploy.quantize.exact_number import read_number, write_number
from vacc_deploy.quantize.scheme import QuantParams, quant_params
from vacc_deploy.quantize.settings import Precision

FORMAT = 1


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """What calibration saw of one tensor, and the range that it keeps.

    Attributes:
        low: Values below are clipped.
        high: Values above are clipped.
        method: The calibrator that chose the range, ``user`` after an edit.
        minimum: Smallest value seen.
        maximum: Largest value seen.
        clipped: Fraction of the sampled values outside the range.
        sqnr_db: Signal to quantisation noise of this tensor alone, dB, by the histogram.
        note: Why this method: ``picture``, ``least output error`` … and the runner-up.
    """

    low: float
    high: float
    method: str
    minimum: float
    maximum: float
    clipped: float = 0.0
    sqnr_db: float = 0.0
    note: str = ""

    @property
    def kept(self) -> Range:
        """The clipping range."""
        return Range(self.low, self.high)


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """One layer's precision, the reason, and what it costs.

    Attributes:
        op_type: ONNX operator.
        precision: What is asked for. A layer that nobody reads as codes still runs in float.
        why: ``default``, ``recipe: skip_conv_layers[0]``, ``search``, ``user``, ``unsupported: …``.
        macs: Multiply-accumulates.
        cost_db: What int8 of this layer alone costs, dB, where it was measured.
        gain_db: What fp16 of this layer alone wins back in place, dB, where it was measured.
        gain: Factor on the weights and bias, per output channel: undoes what rounding shrinks.
        bias_shift: Added to the bias after that, per output channel.
        rounding: How far weight codes lie from the nearest ones, packed by `write_steps`.
    """

    op_type: str
    precision: Precision
    why: str
    macs: int = 0
    cost_db: float | None = None
    gain_db: float | None = None
    gain: tuple[float, ...] = ()
    bias_shift: tuple[float, ...] = ()
    rounding: str = ""


@dataclass(frozen=True, slots=True)
class CalibrationTable:
    """Thresholds per tensor and precisions per layer of one model.

    Attributes:
        model_digest: sha256 of the float model (`model_digest`).
        pictures: How many pictures were seen.
        settings: Effective settings, JSON-ready: scheme, weight_scale, per_channel, coded_outputs, mode.
        tensors: By tensor name.
        layers: By layer name, in graph order.
        warnings: What the guard rails noticed.
        equalised: What the channels of a group of tensors are divided by (`equalise`), by the group's name.
        split: Channels that a tensor carries twice (`split_channels`), by its name.
    """

    model_digest: str
    pictures: int
    settings: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]
    layers: Mapping[str, LayerEntry]
    warnings: tuple[str, ...] = ()
    equalised: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    split: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def params(self, tensor: str) -> QuantParams:
        """Scale and zero point of `tensor`.

        Raises:
            DataError: The table has no threshold for it.
        """
        entry = self.tensors.get(tensor)
        if entry is None:
            raise DataError(
                "the calibration table has no threshold for a tensor that int8 needs",
                where=tensor,
                hint="calibrate again, or keep the layers around it in fp16",
            )
        return quant_params(entry.kept, self.settings["scheme"])

    def with_precision(self, name: str, precision: Precision, why: str) -> CalibrationTable:
        """A copy in which layer `name` has another precision."""
        layers = dict(self.layers)
        layers[name] = replace(layers[name], precision=precision, why=why)
        return replace(self, layers=layers)

    def to_json(self) -> str:
        """The table as text; the same table always gives the same text."""
        data = {
            "format": FORMAT,
            "model": self.model_digest,
            "pictures": self.pictures,
            "settings": dict(self.settings),
            "warnings": list(self.warnings),
            "layers": {name: _layer_to_json(entry) for name, entry in self.layers.items()},
            "tensors": {name: _tensor_to_json(self.tensors[name]) for name in sorted(self.tensors)},
            "equalised": {name: [write_number(v) for v in self.equalised[name]] for name in self.equalised},
            "split": {name: list(self.split[name]) for name in self.split},
        }
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "calibration.json") -> CalibrationTable:
        """The table that `to_json` wrote, edited or not.

        Raises:
            DataError: It is not a calibration table, or of a newer format.
        """
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise DataError(
                    f"this calibration table has format {data['format']}",
                    where=where,
                    hint=f"this version reads format {FORMAT}; calibrate again or use a newer vdeploy",
                )
            return cls(
                model_digest=str(data["model"]),
                pictures=int(data["pictures"]),
                settings=dict(data["settings"]),
                warnings=tuple(str(w) for w in data.get("warnings", [])),
                layers={n: _layer_from_json(d, f"{where}: layers: {n}") for n, d in data["layers"].items()},
                tensors={
                    n: _tensor_from_json(d, f"{where}: tensors: {n}") for n, d in data["tensors"].items()
                },
                equalised={
                    str(n): tuple(read_number(v, f"{where}: equalised: {n}") for v in values)
                    for n, values in data.get("equalised", {}).items()
                },
                split={str(n): tuple(int(c) for c in v) for n, v in data.get("split", {}).items()},
            )
        except VdeployError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise DataError(
                "this is not a calibration table",
                where=where,
                why=f"{type(error).__name__}: {error}",
                hint="calibrate again; `vdeploy compile` writes the file",
            ) from error


def _tensor_to_json(entry: TensorEntry) -> dict[str, Any]:
    return {
        "low": write_number(entry.low),
        "high": write_number(entry.high),
        "method": entry.method,
        "minimum": write_number(entry.minimum),
        "maximum": write_number(entry.maximum),
        "clipped": float(f"{entry.clipped:.4g}"),
        "sqnr_db": round(entry.sqnr_db, 2),
        "note": entry.note,
    }


def _require_known(data: Mapping[str, Any], entry: type[TensorEntry | LayerEntry], where: str) -> None:
    """Refuse a misspelt key: the edit would have no effect."""
    known = [field.name for field in fields(entry)]
    for key in data:
        if key not in known:
            raise DataError(f"unknown key {key!r}", where=where, hint=hint_for(key, known))


def _tensor_from_json(data: dict[str, Any], where: str) -> TensorEntry:
    _require_known(data, TensorEntry, where)
    low, high = read_number(data["low"], where), read_number(data["high"], where)
    if not low <= 0 <= high:
        raise DataError("a clipping range does not contain 0", where=where, hint="low ≤ 0 ≤ high")
    return TensorEntry(
        low=low,
        high=high,
        method=str(data["method"]),
        minimum=read_number(data["minimum"], where),
        maximum=read_number(data["maximum"], where),
        clipped=float(data["clipped"]),
        sqnr_db=float(data["sqnr_db"]),
        note=str(data.get("note", "")),
    )


def _layer_to_json(entry: LayerEntry) -> dict[str, Any]:
    data: dict[str, Any] = {
        "op_type": entry.op_type,
        "precision": entry.precision,
        "why": entry.why,
        "macs": entry.macs,
    }
    for key, value in (("cost_db", entry.cost_db), ("gain_db", entry.gain_db)):
        if value is not None:
            data[key] = round(value, 4)
    for key, values in (("gain", entry.gain), ("bias_shift", entry.bias_shift)):
        if values:
            data[key] = [write_number(v) for v in values]
    if entry.rounding:
        data["rounding"] = entry.rounding
    return data


def _layer_from_json(data: dict[str, Any], where: str) -> LayerEntry:
    _require_known(data, LayerEntry, where)
    if data["precision"] not in ("int8", "fp16"):
        raise DataError(f"precision {data['precision']!r} is not known", where=where, hint="int8 or fp16")
    return LayerEntry(
        op_type=str(data["op_type"]),
        precision=data["precision"],
        why=str(data["why"]),
        macs=int(data["macs"]),
        cost_db=None if "cost_db" not in data else float(data["cost_db"]),
        gain_db=None if "gain_db" not in data else float(data["gain_db"]),
        gain=tuple(read_number(v, where) for v in data.get("gain", [])),
        bias_shift=tuple(read_number(v, where) for v in data.get("bias_shift", [])),
        rounding=str(data.get("rounding", "")),
    )
