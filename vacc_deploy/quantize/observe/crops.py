"""The few pictures that the layer-by-layer walk keeps in memory, cut to size while the data stream by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.crop_support import has_own_statistics, runs_on_crops
from vacc_deploy.quantize.layers import Layer, static_shape

Array = npt.NDArray[Any]
Feed = dict[str, Array]

_MOST_PICTURES = 16
_FEWEST_CROPS = 4  # half of them judge what was measured on the other half; LESRCNN gains nothing by more
_WHOLE_PICTURES = 2  # of a network that needs its full input size
_ALIGN = 16  # offsets and sizes survive at least four halvings
_SMALLEST = 48
_OF_A_SIDE = 4  # least part of a picture's side, for a network that normalises a picture by its own spread
_MOST_LARGE = 8  # crops of such a network, half a picture together


class CropKeeper:
    """Passes a data set through and keeps a crop of each of its first pictures.

    A network of convolutions and picture-sized operators is walked on crops, at places that wander over
    the pictures in a fixed order; any other one on its first two whole pictures.

    Args:
        model: The float model.
        layers: Its layers.
        budget_macs: Multiply-accumulates that all crops together may cost in one float pass.
        expected: How many pictures the data set has, if known.
    """

    def __init__(
        self, model: ir.Model, layers: list[Layer], *, budget_macs: float, expected: int | None = None
    ) -> None:
        self.kept: list[Feed] = []
        self._crops = runs_on_crops(model)
        if not self._crops:
            self.most = _WHOLE_PICTURES
            return
        large = has_own_statistics(model)
        self._input = str(model.graph.inputs[0].name)
        height, width = static_shape(model.graph.inputs[0])[-2:]
        self._align = _alignment(model, height)
        least = max(_SMALLEST, height // _OF_A_SIDE if large else 0)
        smallest = -(-least // self._align) * self._align
        affordable = height * width * budget_macs / max(1, sum(layer.macs for layer in layers))  # positions
        crops = int(affordable / smallest**2)
        self.most = _MOST_LARGE if large else min(max(crops, _FEWEST_CROPS), _MOST_PICTURES)
        area = min(affordable / min(expected or 8, self.most), height * width)
        # Doubled or not at all: five crops of 64 pixels cost VDSR twice what five of 48 do, for nothing.
        side = max(smallest, int(math.sqrt(area)) // smallest * smallest)
        self._size = (min(side, height), min(side, width))

    def pictures_of(self, shape: tuple[int, ...]) -> float:
        """How many whole pictures of `shape` the crops amount to."""
        if not self._crops:
            return float(self.most)
        return self.most * self._size[0] * self._size[1] / (shape[-2] * shape[-1])

    def __call__(self, dataset: Iterable[Feed]) -> Iterator[Feed]:
        """`dataset` itself, while crops are kept on the way."""
        for index, feed in enumerate(dataset):
            if index < self.most:
                self.kept.append(self._cut(feed, index) if self._crops else dict(feed))
            yield feed

    def _cut(self, feed: Feed, index: int) -> Feed:
        picture = feed[self._input]
        room = (picture.shape[2] - self._size[0], picture.shape[3] - self._size[1])
        top, left = (offset // self._align * self._align for offset in spread_offset(room, index))
        crop = picture[:, :, top : top + self._size[0], left : left + self._size[1]]
        return {self._input: np.ascontiguousarray(crop, np.float32)}


def _alignment(model: ir.Model, height: int) -> int:
    """What crops must be multiples of: the network's total stride, or halving and doubling would not meet."""
    shapes = [value.shape for node in model.graph for value in node.outputs if value.shape is not None]
    heights = {shape[2] for shape in shapes if len(shape) == 4}
    strides = [height // size for size in heights if isinstance(size, int) and 1 < size < height]
    return math.lcm(_ALIGN, *(1 << (stride - 1).bit_length() for stride in strides))


def spread_offset(room: tuple[int, int], index: int) -> tuple[int, int]:
    """The place number `index` of a sequence that spreads evenly over ``room``, rows and columns to spare.

    Fractional parts of multiples of irrational numbers do so without any randomness.
    """
    down, right = (
        int(size * (step * (index + 1) % 1.0)) for size, step in zip(room, (0.618, 0.755), strict=True)
    )
    return max(0, down), max(0, right)
