"""The factors that make the channels of a network's tensors more equal, where that helps.

The factor is the square root of the channel's range, the compromise of Xiao et al., "SmoothQuant", 2022:
the whole range would move all the unevenness into the weights that read the tensor. Whether it helps is
decided by measurement, for the network as a whole: with even channels VDSR gains 2 dB of fidelity, whose
first layers hold the brightness of a picture beside its detail, and LESRCNN x4 loses 0.4 dB, whose channels
have a few values far above all others, which thresholds clip anyway.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.channels.equalise import Factors, equalise, find_groups
from vacc_deploy.quantize.first_table import collect_histograms, first_table, observed_tensors
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.observe.observer import Observer
from vacc_deploy.quantize.score import quantized_runner
from vacc_deploy.quantize.sessions import open_session, runner, runs_on_crops, without_sizes
from vacc_deploy.quantize.settings import CalibrationSettings

Array = npt.NDArray[Any]

_STRENGTH = 0.5  # exponent on a channel's range
_QUIETEST = 1e-3  # a channel's range counts as at least this part of the loudest one's
_LARGEST = 8.0  # factors stay within 1/8 and 8
_JUDGES = 3  # pictures that judge whether factors help
_LEAST_GAIN_DB = 0.3  # about what the same network gains or loses by chance


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
    if not feeds or not runs_on_crops(model):
        return {}
    factors = measure_factors(model, feeds, threads=settings.threads)
    if not factors:
        return {}
    judges = feeds[:_JUDGES]
    run = runner(model, settings.threads, any_size=True)
    expected = [run(feed) for feed in judges]
    plain, even = (_noise(model, layers, f, judges, expected, settings) for f in ({}, factors))
    return factors if 10 * math.log10(max(plain, 1e-30) / max(even, 1e-30)) >= _LEAST_GAIN_DB else {}


def _noise(
    model: ir.Model,
    layers: list[Layer],
    factors: Factors,
    feeds: Sequence[dict[str, Array]],
    expected: Sequence[list[Array]],
    settings: CalibrationSettings,
) -> float:
    """Relative squared error of the network's outputs, quantised without further improvements."""
    observer = Observer(
        equalise(model, factors), observed_tensors(model, layers), threads=settings.threads, any_size=True
    )
    histograms, count = collect_histograms(observer, feeds)
    table = first_table(model, layers, histograms, settings, pictures=count, factors=factors)
    run = quantized_runner(model, table, settings.threads)
    noise = 0.0
    for feed, outputs in zip(feeds, expected, strict=True):
        for got, wanted in zip(run(feed), outputs, strict=True):
            power = float(np.mean(np.square(wanted, dtype=np.float64)))
            noise += float(np.mean(np.square(got - wanted, dtype=np.float64))) / max(power, 1e-30)
    return noise


def measure_factors(
    model: ir.Model, feeds: Sequence[dict[str, Array]], *, threads: int
) -> dict[str, tuple[float, ...]]:
    """The factors of every group, by the largest values that its channels reach on `feeds`.

    Args:
        model: Float model.
        feeds: Pictures, or crops for a network that `runs_on_crops`.
        threads: Threads of ONNX Runtime.
    """
    groups = find_groups(model)
    if not groups or not feeds:
        return {}
    names = sorted({name for group in groups for name in group.read_tensors})
    largest = _channel_ranges(model, names, feeds, threads)
    factors = {}
    for group in groups:
        ranges = [largest[name] / max(float(largest[name].max()), 1e-30) for name in group.read_tensors]
        shape = np.maximum(np.max(ranges, axis=0), _QUIETEST) ** _STRENGTH
        even = np.clip(shape / np.exp(np.mean(np.log(shape))), 1 / _LARGEST, _LARGEST)
        factors[group.name] = tuple(float(value) for value in even.astype(np.float32))
    return factors


def _channel_ranges(
    model: ir.Model, names: Sequence[str], feeds: Sequence[dict[str, Array]], threads: int
) -> dict[str, Array]:
    """Largest magnitude of every channel, (channels,) by tensor."""
    watched = without_sizes(model)
    values = {value.name: value for node in watched.graph for value in node.outputs}
    results = []
    for index, name in enumerate(names):
        size = ir.node("Abs", [values[name]])
        most = ir.node("GlobalMaxPool", [size.outputs[0]])
        watched.graph.extend([size, most])
        most.outputs[0].name, most.outputs[0].dtype = f"equalise/most{index}", ir.DataType.FLOAT
        results.append(most.outputs[0])
    watched.graph.outputs[:] = results
    session = open_session(watched, threads)
    largest: dict[str, Array] = {}
    for feed in feeds:
        for name, most in zip(names, session.run(None, feed), strict=True):
            seen = most.max(axis=(0, 2, 3))
            largest[name] = np.maximum(largest[name], seen) if name in largest else seen
    return largest
