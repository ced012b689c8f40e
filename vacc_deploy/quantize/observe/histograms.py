"""The histograms of a network's tensors over a data set: which tensors, and the pass over the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.observe.histogram import Histogram
from vacc_deploy.quantize.observe.observer import Observation, Observer

Array = npt.NDArray[Any]
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
        update_all(histograms, observed)
        count += 1
        if progress:
            progress(count, "observing")
    if count == 0:
        raise DataError(
            "the calibration data set is empty", hint="point dataset.path at a folder of pictures"
        )
    return histograms, count


def update_all(histograms: Mapping[str, Histogram], observed: Mapping[str, Observation]) -> None:
    """Take one picture's tensors into their histograms.

    Raises:
        DataError: A tensor is not finite.
    """
    for name, seen in observed.items():
        histograms[name].update(seen.minimum, seen.maximum, seen.sample, name)
