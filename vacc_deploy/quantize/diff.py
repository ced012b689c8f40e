"""Where the decibels go: a quantised network against its float model, layer by layer.

Two columns per layer: *single* is the layer's own noise, quantised but fed float input; *entire* is
everything that has piled up by then. A layer whose entire error is far above its single one only passes
on what it was given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.side_by_side import SideBySide, Step, activate, fake_quantize
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]

_MOST_DB = 200.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close a tensor is to its reference.

    Attributes:
        cosine: Cosine similarity, 1 for equal directions.
        sqnr_db: Signal to noise, dB, at most 200.
        max_abs: Largest absolute difference.
    """

    cosine: float
    sqnr_db: float
    max_abs: float


def agreement(reference: Sequence[Array], result: Sequence[Array]) -> Agreement:
    """The agreement of two lists of arrays, taken together."""
    dot = power_a = power_b = noise = largest = 0.0
    for a, b in zip(reference, result, strict=True):
        x, y = a.astype(np.float64), b.astype(np.float64)
        dot += float(np.vdot(x, y))
        power_a, power_b = power_a + float(np.vdot(x, x)), power_b + float(np.vdot(y, y))
        difference = x - y
        noise += float(np.vdot(difference, difference))
        largest = max(largest, float(np.abs(difference).max(initial=0.0)))
    norm = math.sqrt(power_a * power_b)
    cosine = dot / norm if norm > 0 else float(power_a == power_b)
    sqnr = _MOST_DB if noise == 0 else 10 * math.log10(max(power_a, 1e-30) / noise)
    return Agreement(min(1.0, cosine), min(_MOST_DB, sqnr), largest)


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """One layer's line in the comparison.

    Attributes:
        name: As in the user's ONNX.
        op_type: Its operator.
        precision: ``int8`` or ``fp16``, as it really runs.
        why: The reason for the precision.
        macs_share: Fraction of the MACs.
        entire: Error accumulated up to here, result rounded to codes where the network does so.
        single: This layer alone, fed the float input.
        cost_db: What its being int8 costs in place, where measured.
    """

    name: str
    op_type: str
    precision: str
    why: str
    macs_share: float
    entire: Agreement
    single: Agreement
    cost_db: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A flat JSON-ready dict; also the row of a CSV."""
        data = {k: v for k, v in asdict(self).items() if k not in ("entire", "single")}
        for column, values in (("entire", self.entire), ("single", self.single)):
            for key, value in asdict(values).items():
                data[f"{column}_{key}"] = value
        return data


def diff_layers(
    model: ir.Model, table: CalibrationTable, feeds: Sequence[dict[str, Array]], *, threads: int = 2
) -> list[LayerDiff]:
    """Every layer of `model` quantised by `table`, compared on `feeds`, in graph order.

    Args:
        model: Float model.
        table: The calibration table of the artifact.
        feeds: Inputs, kept in memory; two or three pictures are enough.
        threads: Threads of ONNX Runtime.
    """
    walk = SideBySide(model, table, feeds, threads=threads)
    total = max(sum(layer.macs for layer in walk.layers), 1)
    lines = []
    for step in walk:
        layer = step.layer
        entry = table.layers[layer.name]
        expected = [activate(layer, x) for x in step.reference]
        entire = _as_read(walk, layer, _result(walk, step, walk.inputs_of(layer)))
        single = _as_read(walk, layer, _result(walk, step, _single_inputs(walk, step)))
        lines.append(
            LayerDiff(
                name=layer.name,
                op_type=layer.op_type,
                precision="int8" if step.int8 else "fp16",
                why=entry.why if entry.precision == "fp16" or step.int8 else walk.plan.why_float[layer.name],
                macs_share=layer.macs / total,
                entire=agreement(expected, entire),
                single=agreement(expected, single),
                cost_db=entry.gain_db,
            )
        )
    return lines


def _result(walk: SideBySide, step: Step, inputs: dict[str, list[Array]]) -> list[Array]:
    return [activate(step.layer, x) for x in walk.run_planned(step.layer, inputs)]


def _single_inputs(walk: SideBySide, step: Step) -> dict[str, list[Array]]:
    """The float inputs as the layer would read them: rounded to codes if it runs in int8."""
    if not step.int8:
        return step.float_inputs
    return {
        name: [fake_quantize(x, walk.params(name)) for x in batch]
        for name, batch in step.float_inputs.items()
    }


def _as_read(walk: SideBySide, layer: Layer, result: list[Array]) -> list[Array]:
    if layer.name in walk.plan.int8 and layer.output in walk.plan.quantized:
        params = walk.params(layer.output)
        return [fake_quantize(x, params) for x in result]
    return result
