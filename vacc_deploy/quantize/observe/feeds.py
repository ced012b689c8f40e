"""The arrays of a data set as a network reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.layers import static_shape

Array = npt.NDArray[Any]


def checked_feeds(model: ir.Model, dataset: Iterable[dict[str, Array]]) -> Iterator[dict[str, Array]]:
    """`dataset` as `model` reads it.

    Raises:
        DataError: A picture does not fit the network.
    """
    shapes = input_shapes(model)
    for feed in dataset:
        yield checked_feed(feed, shapes)


def input_shapes(model: ir.Model) -> dict[str, tuple[int, ...]]:
    """The shape of every network input by name."""
    return {str(value.name): static_shape(value) for value in model.graph.inputs}


def checked_feed(feed: dict[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The arrays that a network reads, float32.

    Raises:
        DataError: One is missing, has another shape or is not finite.
    """
    arrays = {}
    for name, shape in shapes.items():
        if name not in feed:
            raise DataError(
                f"the data set has no array for the network's input {name!r}",
                why=f"it has: {', '.join(sorted(feed)) or 'nothing'}",
                hint="name the arrays of an npz as the network names its inputs",
            )
        array = np.ascontiguousarray(feed[name], np.float32)
        if array.shape != shape:
            raise DataError(
                f"a calibration input has shape {array.shape}",
                where=name,
                hint=f"the network wants {shape}",
            )
        if not np.all(np.isfinite(array)):
            raise DataError("a calibration input holds NaN or infinity", where=name)
        arrays[name] = array
    return arrays
