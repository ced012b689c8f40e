"""Calibration: one streaming float pass over the pictures, then a threshold per tensor.

The only stage that runs a float forward pass. It yields a `CalibrationTable`; whether a layer then runs
in int8 is decided by the table alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import chain, islice
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.calibrators import choose_range
from vacc_deploy.quantize.channel_ranges import measure_factors
from vacc_deploy.quantize.crops import CropKeeper
from vacc_deploy.quantize.digest import model_digest
from vacc_deploy.quantize.equalise import equalise
from vacc_deploy.quantize.guard_rails import DataWatch, threshold_warnings
from vacc_deploy.quantize.histogram import Histogram
from vacc_deploy.quantize.improve import improve
from vacc_deploy.quantize.layers import Layer, find_layers, static_shape
from vacc_deploy.quantize.observe import (
    Observer,
    announced_bytes,
    checked_feed,
    input_shapes,
    live_bytes,
    weight_bytes,
)
from vacc_deploy.quantize.round_weights import rounding_bytes
from vacc_deploy.quantize.settings import CalibrationSettings, Precision
from vacc_deploy.quantize.table import CalibrationTable, LayerEntry, TensorEntry
from vacc_deploy.quantize.tensor_entry import make_entry

Array = npt.NDArray[Any]
_SMALL_SHARE = 0.01
_GATES = ("Sigmoid", "HardSigmoid")

Progress = Callable[[int, str], None]  # pictures done, what is going on


def observed_tensors(model: ir.Model, layers: list[Layer]) -> list[str]:
    """Names of the tensors whose range int8 may need, in graph order: inputs and results of layers.

    Results of movement layers share their input's range and are left out.
    """
    names = [str(v.name) for v in model.graph.inputs if v.dtype in (ir.DataType.FLOAT, None)]
    made = {str(v.name): v for node in model.graph for v in node.outputs}
    for layer in layers:
        if layer.kind != "movement" and layer.output in made:
            value = made[layer.output]
            if value.dtype in (ir.DataType.FLOAT, None) and layer.node.outputs:
                names.append(layer.output)
    read = {name for layer in layers if layer.why_float is None for name in layer.inputs}
    read |= {str(v.name) for v in model.graph.outputs}
    roots = movement_roots(layers)
    wanted = {roots.get(name, name) for name in read}
    return [name for name in dict.fromkeys(names) if name in wanted]


def movement_roots(layers: list[Layer]) -> dict[str, str]:
    """For every tensor that movement layers made, the tensor it was moved from."""
    roots: dict[str, str] = {}
    for layer in layers:
        if layer.kind == "movement":
            roots[layer.output] = roots.get(layer.inputs[0], layer.inputs[0])
    return roots


def picture_tensors(model: ir.Model, layers: list[Layer]) -> frozenset[str]:
    """Tensors that hold a picture: clipping them darkens whites and shifts colours.

    Network inputs and outputs, whatever arithmetic or movement layers connect with them, and every
    tensor of at most three channels.
    """
    pictures = {str(v.name) for v in (*model.graph.inputs, *model.graph.outputs)}
    for layer in layers:
        shape = layer.node.outputs[0].shape
        if shape is not None and len(shape) == 4 and isinstance(shape[1], int) and shape[1] <= 3:
            pictures.add(layer.output)
    while True:
        linked = {
            name
            for layer in layers
            if layer.kind in ("arithmetic", "movement") and layer.op_type != "Concat"
            for name in (*layer.inputs, layer.output)
            if pictures & {layer.output}
        }
        if linked <= pictures:
            return frozenset(pictures)
        pictures |= linked


def checked_feeds(model: ir.Model, dataset: Iterable[dict[str, Array]]) -> Iterator[dict[str, Array]]:
    """`dataset` as `model` reads it.

    Raises:
        DataError: A picture does not fit the network.
    """
    shapes = input_shapes(model)
    for feed in dataset:
        yield checked_feed(feed, shapes)


def collect_histograms(
    observer: Observer, dataset: Iterable[dict[str, Array]], progress: Progress | None = None
) -> tuple[dict[str, Histogram], int]:
    """Histograms of all observed tensors over `dataset`, and the number of pictures.

    Raises:
        DataError: The data set is empty, or a tensor is not finite.
    """
    histograms = {name: Histogram() for name in observer.tensors}
    count = 0
    for feed in dataset:
        observed, _ = observer(feed)
        for name, seen in observed.items():
            histograms[name].update(seen.minimum, seen.maximum, seen.sample, name)
        count += 1
        if progress:
            progress(count, "observing")
    if count == 0:
        raise DataError(
            "the calibration data set is empty", hint="point dataset.path at a folder of pictures"
        )
    return histograms, count


def calibrate(
    model: ir.Model,
    dataset: Iterable[dict[str, Array]],
    settings: CalibrationSettings | None = None,
    progress: Progress | None = None,
) -> CalibrationTable:
    """Thresholds for every tensor and a precision for every layer of `model`.

    Args:
        model: Float model from the frontend: static shapes, every node named.
        dataset: One dict of float32 NCHW arrays per picture, by input name. Iterated once, in order; crops
            of the first 16 are kept.
        settings: What to choose and correct; the default is the improved one.
        progress: Called after every picture.

    Raises:
        DataError: The data are empty, misshapen or not finite.
    """
    settings = settings or CalibrationSettings()
    layers = find_layers(model)
    expected = len(dataset) if isinstance(dataset, Sized) else None
    crops = CropKeeper(model, layers, budget_macs=settings.budget_macs, expected=expected)
    watch = DataWatch()
    stream = crops(watch(checked_feeds(model, dataset)))
    head = list(islice(stream, crops.most)) if settings.equalise else []
    factors = measure_factors(model, crops.kept, threads=settings.threads) if settings.equalise else {}
    observer = Observer(equalise(model, factors), observed_tensors(model, layers), threads=settings.threads)
    histograms, count = collect_histograms(observer, chain(head, stream), progress)
    pictures: frozenset[str] = picture_tensors(model, layers) if settings.protect_images else frozenset()
    tensors = {
        name: choose_entry(histogram, settings, is_picture=name in pictures)
        for name, histogram in histograms.items()
    }
    table = CalibrationTable(
        model_digest=model_digest(model),
        pictures=count,
        settings=settings_to_json(settings),
        tensors=tensors,
        layers=layer_entries(layers, settings, pictures),
        warnings=(*watch.warnings(), *threshold_warnings(tensors)),
        equalised=factors,
    )
    if not settings.walks:
        return table
    if progress:
        progress(count, "choosing thresholds, rounding weights and correcting channels")
    return improve(model, table, histograms, settings, crops.kept, keep_ranges=pictures)


def memory_needed(model: ir.Model, settings: CalibrationSettings) -> int:
    """Bytes that `calibrate` may add to what the process holds, estimated before it starts.

    The float pass and the walk follow one another; the walk keeps the tensors that are still to be read of
    a few crops twice, in float and quantised, and has float64 copies of one layer's results.
    """
    layers = find_layers(model)
    observing = announced_bytes(model, len(observed_tensors(model, layers)))
    if not settings.walks:
        return observing
    shapes = [static_shape(value) for value in model.graph.inputs]
    keeper = CropKeeper(model, layers, budget_macs=settings.budget_macs)
    live, largest = live_bytes(model)
    pictures = keeper.pictures_of(shapes[0])
    walking = weight_bytes(model) + int(pictures * (2 * live + 6 * largest)) + rounding_bytes(model)
    return max(observing, walking) + observing // 4


def choose_entry(histogram: Histogram, settings: CalibrationSettings, *, is_picture: bool) -> TensorEntry:
    """The table's entry for one tensor by the calibrator that `settings` names."""
    mode = "mse" if settings.mode == "auto" else settings.mode
    note = ""
    if is_picture:
        mode, note = "max", "holds a picture: never clipped"
    parameter = settings.calibrate_range if mode == "percentile" else None
    kept = choose_range(mode, histogram, settings.scheme, parameter)
    return make_entry(histogram, kept, mode, note, settings.scheme)


def layer_entries(
    layers: list[Layer], settings: CalibrationSettings, pictures: frozenset[str]
) -> dict[str, LayerEntry]:
    """The table's layers before any search: unsupported, chosen by the user, or int8.

    With pictures protected, a convolution or matrix product that reads a picture or makes one, and costs
    at most 1 % of the multiply-accumulates, stays in fp16: eight bits of the picture itself, and rounded
    weights right before the result, are what costs most (LESRCNN x2 loses 0.14 dB with the last
    convolution in int8 and 0.06 dB without, VDSR 0.4 dB of its 0.6 to its int8 input). So does one that
    makes a single vector: its few numbers steer whole channels (GPEN-256 has 31.1 dB fidelity with styles
    and demodulation in int8, and 33.0 without). So do gates, whose error scales everything that they let
    through. What has no multiply-accumulates follows its readers: see `plan`.
    """
    total = max(sum(layer.macs for layer in layers), 1)
    gates = gate_layers(layers, _SMALL_SHARE * total) if settings.protect_images else frozenset()
    entries = {}
    for layer in layers:
        precision: Precision
        choice = settings.choices.get(layer.name)
        share = layer.macs / total
        if layer.why_float is not None:
            precision, why = "fp16", f"unsupported: {layer.why_float}"
        elif choice is not None:
            precision, why = choice.precision, choice.why
        elif share <= _SMALL_SHARE and (delicate := _delicate(layer, pictures, gates)):
            precision, why = "fp16", f"default: {delicate}, {100 * share:.2f} % of the MACs"
        else:
            precision, why = "int8", "default"
        entries[layer.name] = LayerEntry(layer.op_type, precision, why, layer.macs)
    return entries


def _delicate(layer: Layer, pictures: frozenset[str], gates: frozenset[str]) -> str:
    """Why a layer with few multiply-accumulates stays in fp16; empty if it may run in int8."""
    if layer.name in gates:
        return "makes a gate"
    if layer.kind != "mac" or not pictures:
        return ""
    if pictures & {*layer.inputs}:
        return "reads the picture"
    if layer.output in pictures:
        return "makes the picture"
    shape = static_shape(layer.node.outputs[0])
    return "makes a vector" if len(shape) == 2 and shape[0] == 1 else ""


def gate_layers(layers: list[Layer], most_macs: float) -> frozenset[str]:
    """Names of the sigmoids behind layers of at most `most_macs` multiply-accumulates, and of those layers.

    An attention branch ends so: in SPARNet a convolution to one channel, 0.00 % of the multiply-accumulates.
    """
    makers = {layer.output: layer for layer in layers if layer.kind == "mac" and layer.macs <= most_macs}
    return frozenset(
        name
        for layer in layers
        if layer.kind == "table" and layer.op_type in _GATES and layer.inputs[0] in makers
        for name in (layer.name, makers[layer.inputs[0]].name)
    )


def settings_to_json(settings: CalibrationSettings) -> dict[str, Any]:
    """The settings that the table carries; `quantize` reads the first four."""
    return {
        "scheme": settings.scheme,
        "weight_scale": settings.weight_scale,
        "per_channel": settings.per_channel,
        "coded_outputs": settings.coded_outputs,
        "mode": settings.mode,
        "calibrate_range": settings.calibrate_range,
        "protect_images": settings.protect_images,
        "correct_channels": settings.correct_channels,
        "round_weights": settings.round_weights,
        "equalise": settings.equalise,
    }
