"""The factors that make the channels of a network's tensors more equal, where that helps.

The factor is the square root of the channel's range, the compromise of Xiao et al., "SmoothQuant", 2022:
the whole range would move all the unevenness into the weights that read the tensor. Whether it helps is
decided by measurement, for the network as a whole: with even channels VDSR gains 2 dB of fidelity, whose
first layers hold the brightness of a picture beside its detail, and LESRCNN x4 loses 0.4 dB, whose channels
have a few values far above all others, which thresholds clip anyway.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.channels.equalise import Factors, Group, equalise, find_groups
from vacc_deploy.quantize.crop_support import runs_on_crops
from vacc_deploy.quantize.first_table import first_table
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.observe.histograms import collect_histograms, observed_tensors, update_all
from vacc_deploy.quantize.observe.observer import Observer
from vacc_deploy.quantize.score import quantized_runner
from vacc_deploy.quantize.sessions import Run
from vacc_deploy.quantize.settings import CalibrationSettings

Array = npt.NDArray[Any]

_STRENGTH = 0.5  # exponent on a channel's range
_QUIETEST = 1e-3  # a channel's range counts as at least this part of the loudest one's
_LARGEST = 8.0  # factors stay within 1/8 and 8
_JUDGES = 2  # pictures that judge whether factors help
# By single crops LESRCNN x4 gains between −1.0 and 1.5, and then loses 6 dB on pictures that no crop is like.
_LEAST_GAIN_DB = 1.0


@dataclass(slots=True)
class Sight:
    """What is seen of the network as it is, in one pass over the crops.

    Attributes:
        peaks: Largest magnitude of every channel, (channels,) by the tensors that groups read.
        histograms: Of the observed tensors, over the crops that judge.
        outputs: The network's outputs, of the crops that judge.
    """

    peaks: dict[str, Array]
    histograms: dict[str, Histogram]
    outputs: list[list[Array]]


def helpful_factors(
    model: ir.Model, layers: list[Layer], feeds: Sequence[dict[str, Array]], settings: CalibrationSettings
) -> Factors:
    """The factors of every group, if they bring the quantised network closer to the float one; else none.

    Args:
        model: Float model. One that does not give a crop for a crop gets no factors: whole pictures would
            take too long.
        layers: Its layers.
        feeds: Crops of calibration pictures.
        settings: How the network will be quantised.
    """
    groups = find_groups(model)
    if not feeds or not groups or not runs_on_crops(model):
        return {}
    sight = look_at(model, layers, groups, feeds, threads=settings.threads)
    factors = even_factors(groups, sight.peaks)
    judges = feeds[:_JUDGES]
    evened = Observer(
        equalise(model, factors), observed_tensors(model, layers), threads=settings.threads, any_size=True
    )
    histograms, _ = collect_histograms(evened, judges)

    def noise(of: dict[str, Histogram], divided_by: Factors) -> float:
        table = first_table(model, layers, of, settings, pictures=len(judges), factors=divided_by)
        return _noise(quantized_runner(model, table, settings.threads), judges, sight.outputs)

    plain, even = noise(sight.histograms, {}), noise(histograms, factors)
    return factors if 10 * math.log10(max(plain, 1e-30) / max(even, 1e-30)) >= _LEAST_GAIN_DB else {}


def _noise(run: Run, feeds: Sequence[dict[str, Array]], expected: Sequence[list[Array]]) -> float:
    """Relative squared error of what `run` makes of `feeds`."""
    noise = 0.0
    for feed, outputs in zip(feeds, expected, strict=True):
        for got, wanted in zip(run(feed), outputs, strict=True):
            power = float(np.mean(np.square(wanted, dtype=np.float64)))
            noise += float(np.mean(np.square(got - wanted, dtype=np.float64))) / max(power, 1e-30)
    return noise


def even_factors(groups: Sequence[Group], peaks: Mapping[str, Array]) -> dict[str, tuple[float, ...]]:
    """The factors of every group, by the largest magnitudes of its channels."""
    factors = {}
    for group in groups:
        ranges = [peaks[name] / max(float(peaks[name].max()), 1e-30) for name in group.read_tensors]
        shape = np.maximum(np.max(ranges, axis=0), _QUIETEST) ** _STRENGTH
        even = np.clip(shape / np.exp(np.mean(np.log(shape))), 1 / _LARGEST, _LARGEST)
        factors[group.name] = tuple(float(value) for value in even.astype(np.float32))
    return factors


def look_at(
    model: ir.Model,
    layers: list[Layer],
    groups: Sequence[Group],
    feeds: Sequence[dict[str, Array]],
    *,
    threads: int,
) -> Sight:
    """See a network that `runs_on_crops` at work on crops.

    Args:
        model: Float model.
        layers: Its layers.
        groups: Its groups of channels.
        feeds: Crops; all of them show the channels, the first few judge.
        threads: Threads of ONNX Runtime.
    """
    names = sorted({name for group in groups for name in group.read_tensors})
    outputs = [str(value.name) for value in model.graph.outputs]
    watched, peak_names = _with_peaks(model, names)
    observer = Observer(
        watched,
        observed_tensors(model, layers),
        threads=threads,
        whole=[*peak_names, *outputs],
        any_size=True,
    )
    sight = Sight({}, {name: Histogram() for name in observer.tensors}, [])
    for index, feed in enumerate(feeds):
        observed, whole = observer(feed)
        for name, peak_name in zip(names, peak_names, strict=True):
            seen = whole[peak_name].max(axis=(0, 2, 3))
            sight.peaks[name] = np.maximum(sight.peaks[name], seen) if index else seen
        if index < _JUDGES:
            update_all(sight.histograms, observed)
            sight.outputs.append([whole[name] for name in outputs])
    return sight


def _with_peaks(model: ir.Model, names: Sequence[str]) -> tuple[ir.Model, list[str]]:
    """A copy of `model` that computes the largest magnitudes of the channels of `names`, and their names."""
    watched = model.clone()
    values = {value.name: value for node in watched.graph for value in node.outputs}
    peak_names = [f"equalise/peak{index}" for index in range(len(names))]
    for name, peak_name in zip(names, peak_names, strict=True):
        size = ir.node("Abs", [values[name]])
        peak = ir.node("GlobalMaxPool", [size.outputs[0]])
        watched.graph.extend([size, peak])
        peak.outputs[0].name, peak.outputs[0].dtype = peak_name, ir.DataType.FLOAT
    return watched, peak_names
