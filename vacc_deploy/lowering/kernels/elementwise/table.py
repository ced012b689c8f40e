"""Unary operators on planes of codes: every code is replaced by an entry of a table.

Any function of one value, requantisation included, is such a table; `runtime.reference.table` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.codes import pack_codes, representative
from vacc_deploy.lowering.kernels.elementwise.lookup import ENTRIES, load_table
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr, load, store
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.plane_rows import (
    FlatPlane,
    Plain,
    declare,
    only_live,
    vectors,
    written_rows,
)
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class TableSpec:
    """``output[...] = table[input[...]]`` for uint8 planes of one shape, whatever their halos."""

    input: Plane
    output: Plane


@cache
def emit(spec: TableSpec, target: Target) -> Any:
    """``table(input, table (1, 256) uint8, codes, output)``."""
    with kernel_function("table") as function:
        source, table, output = declare(
            input=spec.input, table=Plain((1, ENTRIES), "uint8"), output=spec.output
        )
        with written_rows(output) as row:
            _look_up(target, source, table, output, row)
    return function.get()


def _look_up(
    target: Target, source: FlatPlane, table: Buffer, output: FlatPlane, row: tuple[Expr, Expr, Expr]
) -> None:
    plane, lookup = output.plane, load_table(target, table)
    read, written = source.at(*row), output.at(*row)

    def body(offset: Expr, channel: int, lanes: int) -> None:
        entries = lookup.vector(load(source.buffer, (read + offset,), lanes))
        store(output.buffer, (written + offset,), only_live(entries, output, row[1], channel))

    vectors(plane.width * plane.block, plane.block, body)


def pack(spec: TableSpec, target: Target, table: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
    """The parameters; see `build`."""
    return {"table": table.reshape(1, ENTRIES), **pack_codes(spec.input, spec.output)}


def build(spec: TableSpec, target: Target, table: npt.NDArray[np.uint8]) -> Kernel:
    """The kernel of a unary operator on codes.

    Args:
        spec: Geometry.
        target: CPU level.
        table: uint8 (256,), from stored input code to stored output code.
    """
    return Kernel(emit(representative(spec), target), pack(spec, target, table))
