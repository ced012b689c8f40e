"""The order in which a depthwise convolution computes its outputs, of integers and of floats alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.planes import parallel_rows
from vacc_deploy.lowering.kernels.isa.vector import Expr, let
from vacc_deploy.lowering.plane import Plane


@contextmanager
def depthwise_places(
    target: Plane, pixels: int, vectors: int, per_block: int
) -> Iterator[tuple[Expr, Expr, Expr, Expr]]:
    """Loops over all outputs, rows in parallel; yields (picture, vector of channels, row, first column).

    Args:
        target: The output.
        pixels: Neighbouring outputs that are computed together; the last ones of a row may overlap.
        vectors: Vectors of channels.
        per_block: Vectors of a channel block; they come before the next pixels, since they share cache lines.
    """
    together = math.gcd(vectors, per_block)
    with (
        parallel_rows(target.batch, target.height) as (n, row),
        T.serial(0, vectors // together) as block,
        T.serial(0, -(-target.width // pixels)) as b,
    ):
        column = let(T.min(b * pixels, target.width - pixels))
        with T.serial(0, together) as inside:
            yield n, let(block * together + inside), row, column
