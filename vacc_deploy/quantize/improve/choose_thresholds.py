"""The threshold of a tensor by what it does to the layer that reads it.

Every calibrator proposes a range; the one whose quantised layer comes closest to the float layer's
result wins, but the first, `mse`, stays unless its clipping doubles the error: a wider range always looks
good to the few large values of a crop, and costs the many small ones their detail. The first convolution
or matrix product that reads the tensor in int8 judges. Tensors that hold a picture keep their extremes,
and proposals within 2 % of one another count as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators import Range
from vacc_deploy.quantize.calibrators.proposals import proposals
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.scheme import is_unsigned
from vacc_deploy.quantize.side_by_side import Batch, SideBySide, Step, activate
from vacc_deploy.quantize.table import TensorEntry

Array = npt.NDArray[Any]
MakeEntry = Callable[[Histogram, Range, str, str], TensorEntry]

_MARGIN_DB = 6.0  # how much better than `mse` another proposal has to be
_JUDGES = 2  # pictures that judge


def choose_step(
    walk: SideBySide,
    step: Step,
    histograms: Mapping[str, Histogram],
    settled: set[str],
    make_entry: MakeEntry,
) -> None:
    """Choose the thresholds of the tensors that one int8 layer is the first to read.

    Args:
        walk: The walk; its table receives the choice.
        step: The layer.
        histograms: By tensor.
        settled: Tensors already chosen or not to be touched; grows.
        make_entry: Makes a table entry from a histogram, a range, a method and a note.
    """
    if not step.int8 or step.layer.kind != "mac":
        return  # for any other reader the histogram's own squared error is the output error
    for name in step.layer.inputs:
        root = walk.plan.root.get(name, name)
        if root in settled or root not in histograms or name not in walk.plan.quantized:
            continue
        settled.add(root)
        unsigned = is_unsigned(walk.table.tensors[root].kept)
        options = proposals(histograms[root], "asymmetric" if unsigned else walk.table.settings["scheme"])
        if len(options) < 2:
            continue
        original = walk.table
        errors = []
        for label, kept in options:
            entry = make_entry(histograms[root], kept, label, "")
            walk.table = replace(original, tensors={**original.tensors, root: entry})
            errors.append(_error(walk, step.layer, step.reference))
        error_db = 10 * np.log10(np.maximum(errors, 1e-30))
        best = int(np.argmin(error_db))
        gain_db = float(error_db[0] - error_db[best])  # the first proposal is mse
        if gain_db < _MARGIN_DB:
            note = f"{options[best][0]} is {gain_db:.2f} dB better for {step.layer.name}, within the margin"
            best = 0
        else:
            note = f"{gain_db:.2f} dB better than mse for {step.layer.name}"
        entry = make_entry(histograms[root], options[best][1], options[best][0], note)
        walk.table = replace(original, tensors={**original.tensors, root: entry})


def _error(walk: SideBySide, layer: Layer, reference: Batch) -> float:
    """Relative squared error of the layer's result with the walk's present table, mean over channels.

    Each channel counts alike: a bright channel of large values must not decide for the faint ones, which
    carry the detail.
    """
    inputs = walk.inputs_of(layer, limit=_JUDGES)
    results = walk.run_quantized(layer, inputs)
    axis = 1 if reference[0].ndim == 4 else reference[0].ndim - 1
    noise: Array = np.zeros(reference[0].shape[axis])
    power: Array = np.zeros(reference[0].shape[axis])
    others = tuple(a for a in range(reference[0].ndim) if a != axis)
    for expected, got in zip(reference, results, strict=False):
        y, z = activate(layer, expected), activate(layer, got)
        noise += np.square(y - z).sum(axis=others, dtype=np.float64)
        power += np.square(y - y.mean(axis=others, keepdims=True)).sum(axis=others, dtype=np.float64)
    return float(np.mean(noise / (power + 1e-3 * power.mean() + 1e-30)))
