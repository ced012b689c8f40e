"""Carry a few channels of a tensor twice, half a step apart: one more bit where the noise is.

All channels of a tensor have one scale, and often a few of them, which hold the brightness of a picture
beside its detail, bring nearly all the rounding noise to the layer that reads them. A channel whose weights
are copied, its bias moved by a quarter of a step s one way and the other, and which is read with half the
weight, is the mean of two roundings half a step apart. That is a rounding to half the step:

    Conv(w, b) ── Relu ── Conv(v)     →     Conv([w; w], [b − s/4; b + s/4]) ── Relu ── Conv([v/2, v/2])

Weights alone change, by as many channels more. Zhao et al., "Improving Neural Network Quantization without
Retraining using Outlier Channel Splitting", 2019, split a channel for its range; here it is for its step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import DataError
from vacc_deploy.onnx_constants import constant_of
from vacc_deploy.quantize.channels.equalise import channels_of, plain_convolution
from vacc_deploy.quantize.channels.own_constant import own_constant
from vacc_deploy.quantize.quantized_constants import output_axis

Array = npt.NDArray[Any]
Splits = Mapping[str, Sequence[int]]  # channels, by the name of a tensor


@dataclass(frozen=True, slots=True)
class Site:
    """A tensor whose channels can be split: one convolution makes it, others alone read it.

    Attributes:
        maker: The convolution.
        values: What it yields, behind a Relu too if there is one.
        readers: Who reads that.
    """

    maker: ir.Node
    values: tuple[ir.Value, ...]
    readers: tuple[ir.Node, ...]


def find_sites(model: ir.Model) -> dict[str, Site]:
    """The sites of `model` by the name of the tensor that is read, in graph order."""
    sites = {}
    for node in model.graph:
        if not plain_convolution(node):
            continue
        value = node.outputs[0]
        values = [value]
        users = [use.node for use in value.uses()]
        if len(users) == 1 and not value.is_graph_output() and users[0].op_type == "Relu":
            values.append(users[0].outputs[0])
        read = values[-1]
        readers = tuple(dict.fromkeys(use.node for use in read.uses()))
        if (
            readers
            and not any(v.is_graph_output() for v in values)
            and all(plain_convolution(reader) for reader in readers)
        ):
            sites[str(read.name)] = Site(node, tuple(values), readers)
    return sites


def split_channels(model: ir.Model, splits: Splits, step_of: Callable[[str], float]) -> ir.Model:
    """`model` with channels carried twice; itself if there are none to split.

    Args:
        model: Float model; it is left as it is.
        splits: Which channels.
        step_of: The scale that a tensor is quantised with.

    Raises:
        DataError: `splits` do not belong to this model.
    """
    if not splits:
        return model
    clone = model.clone()
    sites = find_sites(clone)
    for name, channels in splits.items():
        site = sites.get(name)
        count = channels_of(site.values[0]) if site else 0
        if site is None or not all(0 <= channel < count for channel in channels):
            raise DataError(
                "the calibration table splits channels that this model does not have",
                where=name,
                hint="calibrate again, or delete the line",
            )
        _split(clone.graph, site, list(channels), step_of(name))
    return clone


def _split(graph: ir.Graph, site: Site, channels: list[int], step: float) -> None:
    maker, count = site.maker, channels_of(site.values[0])
    weight = constant_of(maker.inputs[1])
    assert weight is not None
    made_on = output_axis(maker)
    copies = np.take(weight, channels, axis=made_on)
    own_constant(graph, maker, 1, np.concatenate([weight, copies], axis=made_on), "split")
    bias = constant_of(maker.inputs[2]) if len(maker.inputs) > 2 else None
    bias = np.zeros(count) if bias is None else bias.astype(np.float64)
    moved = np.concatenate([bias, bias[channels] + step / 4])
    moved[channels] -= step / 4
    own_constant(graph, maker, 2, moved, "split")
    for value in site.values:
        assert value.shape is not None
        value.shape = ir.Shape([value.shape[0], count + len(channels), *value.shape[2:]])
    for reader in site.readers:
        weight = constant_of(reader.inputs[1])
        assert weight is not None
        read_on = 1 - output_axis(reader)
        halved = np.moveaxis(weight.astype(np.float64), read_on, 0)
        halved[channels] /= 2
        both = np.concatenate([halved, halved[channels]])
        own_constant(graph, reader, 1, np.moveaxis(both, 0, read_on), "split")
