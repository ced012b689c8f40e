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
    inputs = network_inputs(model)
    for feed in dataset:
        yield checked_feed(feed, inputs)


def input_type(value: ir.Value) -> np.dtype[Any]:
    """What a network input holds: float32, or the integers or truth values that tokens and masks are."""
    return np.dtype(np.float32 if value.dtype is None else value.dtype.numpy())


def network_inputs(model: ir.Model) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The shape and the type of every network input by name."""
    return {str(value.name): (static_shape(value), input_type(value)) for value in model.graph.inputs}


def checked_feed(
    feed: dict[str, Array], inputs: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
) -> dict[str, Array]:
    """The arrays that a network reads, each of its input's type.

    Raises:
        DataError: One is missing, has another shape or is not finite.
    """
    arrays = {}
    for name, (shape, dtype) in inputs.items():
        if name not in feed:
            raise DataError(
                f"the data set has no array for the network's input {name!r}",
                why=f"it has: {', '.join(sorted(feed)) or 'nothing'}",
                hint="name the arrays of an npz as the network names its inputs",
            )
        array = np.ascontiguousarray(feed[name], dtype)
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
