"""Filters of a float Winograd convolution: as constants, and transformed.

They are transformed by each call: that costs little where the method is chosen, and keeps the constants at 9
values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.winograd.blocking import Blocking
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import Winograd
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, constant, let, store
from vacc_deploy.lowering.plane import StorageType

Array: TypeAlias = npt.NDArray[Any]

_RUN = 64  # most input channels whose filters are transformed together


def pack_weights(blocking: Blocking, weights: Array, dtype: StorageType) -> Array:
    """Weights (C_out, C_in, 3, 3) as (3, 3, C_in, channels)."""
    outputs, inputs, height, width = weights.shape
    packed = np.zeros((height, width, inputs, blocking.channels), dtype)
    packed[..., :outputs] = weights.transpose(2, 3, 1, 0)
    return packed


def transform_filters(
    blocking: Blocking, taps: Sequence[Callable[[int, int, Expr, Expr], Expr | None]]
) -> Buffer:
    """G g Gᵀ of all filters, as `Blocking.filter_shape`: appends a parallel loop.

    Args:
        blocking: The cut.
        taps: Of every phase of every result, ``tap(i, j, input channel, first output channel)`` gives g, None
            where it is always zero. Points that see nothing else are not written.
    """
    form, lanes, width = blocking.form, blocking.lanes, blocking.vectors * blocking.lanes
    filters = T.alloc_buffer(blocking.filter_shape, "float32", layout=None, align=64)
    inputs, sides = blocking.depth, range(form.taps)
    run = max(size for size in range(1, _RUN + 1) if inputs % size == 0)
    with T.parallel(0, blocking.groups * (inputs // run)) as item:
        group, first = T.floordiv(item, inputs // run), T.floormod(item, inputs // run) * run
        # Neighbouring channels lie next to each other at every point.
        with T.serial(0, run) as c:
            channel = let(first + c)
            for number, tap in enumerate(taps):
                result, phase = divmod(number, blocking.phases)
                place = let(((group * blocking.phases + phase) * inputs + channel) * width)
                for v in range(0, width, lanes):
                    g = [[tap(i, j, channel, group * width + v) for j in sides] for i in sides]
                    for point, value in _transform_filter(form, g, lanes).items():
                        store(filters, (result * blocking.points + point, place + v), value)
    return filters


def _transform_filter(form: Winograd, g: list[list[Expr | None]], lanes: int) -> dict[int, Expr]:
    """G g Gᵀ by point, without those at which missing taps leave nothing."""
    zero = constant(0.0, "float32", lanes)
    taps = [[zero if tap is None else tap for tap in row] for row in g]
    half = [form.filter_points(column) for column in zip(*taps, strict=True)]
    rows = form.seen([any(tap is not None for tap in row) for row in g])
    columns = form.seen([any(tap is not None for tap in column) for column in zip(*g, strict=True)])
    return {
        i * form.points + j: value
        for i in rows
        for j, value in enumerate(form.filter_points([column[i] for column in half]))
        if j in columns
    }
