"""The threshold of a tensor by what it does to the layer that reads it.

Every calibrator proposes a range; the first, `mse`, stays unless with another one the quantised layer comes
so much closer to the float layer's result that the error halves: a wider range always looks good to the few
large values of a crop, and costs the many small ones their detail. The first convolution or matrix product
that reads the tensor in int8 judges, on one picture, and on a second where a rival won. Tensors that hold a
picture keep their extremes, and proposals within 2 % of one another count as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.quantize.calibrators import Range
from vacc_deploy.quantize.calibrators.proposals import proposals
from vacc_deploy.quantize.calibrators.registry import Scheme
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.side_by_side import SideBySide, Step, activate
from vacc_deploy.quantize.table import TensorEntry
from vacc_deploy.quantize.tensor_entry import make_entry

Array = npt.NDArray[Any]

_MARGIN_DB = 6.0  # how much better than `mse` another proposal has to be, on each picture
_JUDGES = 2  # pictures that judge


def choose_step(
    walk: SideBySide,
    step: Step,
    histograms: Mapping[str, Histogram],
    settled: set[str],
) -> None:
    """Choose the thresholds of the tensors that one int8 layer is the first to read.

    Args:
        walk: The walk; its table receives the choice.
        step: The layer.
        histograms: By tensor.
        settled: Tensors already chosen or not to be touched; grows.
    """
    if not step.int8 or step.layer.kind != "mac":
        return  # for any other reader the histogram's own squared error is the output error
    for name in step.layer.inputs:
        root = walk.plan.root.get(name, name)
        if root in settled or root not in histograms or name not in walk.plan.quantized:
            continue
        settled.add(root)
        scheme: Scheme = walk.table.settings["scheme"]
        unsigned = walk.table.tensors[root].kept.unsigned
        options = proposals(histograms[root], "asymmetric" if unsigned else scheme)
        entries = [make_entry(histograms[root], kept, label, "", scheme) for label, kept in options]
        rivals = [entry for entry in entries[1:] if _may_win(entry.kept, entries[0].kept)]
        if not rivals:
            continue
        rival, gain_db = _best_rival(walk, step, root, entries[0], rivals)
        if gain_db < _MARGIN_DB:
            note = f"{rival.method} is {gain_db:.2f} dB better for {step.layer.name}, within the margin"
            chosen = replace(entries[0], note=note)
        else:
            chosen = replace(rival, note=f"{gain_db:.2f} dB better than mse for {step.layer.name}")
        walk.table = walk.with_entry(root, chosen).table


def _may_win(rival: Range, standing: Range) -> bool:
    """Whether a quarter of the squared error is possible: it takes less clipping, or half the step."""
    clips_less = rival.low < standing.low or rival.high > standing.high
    return clips_less or rival.high - rival.low <= (standing.high - standing.low) / 2


def _best_rival(
    walk: SideBySide, step: Step, root: str, standing: TensorEntry, rivals: list[TensorEntry]
) -> tuple[TensorEntry, float]:
    """The rival furthest ahead of `standing`, and by how many dB, on the picture where that is least."""
    trials = [walk.with_entry(root, entry) for entry in (standing, *rivals)]
    leads: Array = np.full(len(rivals), np.inf)
    for picture in range(min(_JUDGES, len(step.reference))):
        errors = walk.in_parallel(partial(_error, step=step, picture=picture), trials)
        error_db = 10 * np.log10(np.maximum(errors, 1e-30))
        leads = np.minimum(leads, error_db[0] - error_db[1:])
        if leads.max() < _MARGIN_DB:
            break
    best = int(np.argmax(leads))
    return rivals[best], float(leads[best])


def _error(walk: SideBySide, step: Step, picture: int) -> float:
    """Relative squared error of the layer's result with the walk's present table, mean over channels.

    Each channel counts alike: a bright channel of large values must not decide for the faint ones, which
    carry the detail.
    """
    (result,) = walk.run_quantized(step.layer, walk.inputs_of(step.layer, only=picture))
    y, z = activate(step.layer, step.reference[picture]), activate(step.layer, result)
    channel = 1 if y.ndim == 4 else y.ndim - 1
    others = tuple(axis for axis in range(y.ndim) if axis != channel)
    noise = np.square(y - z).sum(axis=others, dtype=np.float64)
    power = np.square(y - y.mean(axis=others, keepdims=True)).sum(axis=others, dtype=np.float64)
    return float(np.mean(noise / (power + 1e-3 * power.mean() + 1e-30)))
