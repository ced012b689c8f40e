"""A float Winograd convolution, ordinary or transposed, as a kernel: its arguments, constants and stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy.typing as npt
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.convolution.floating.epilogue import (
    epilogue_arguments,
    epilogue_inputs,
    finish_plane,
)
from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
from vacc_deploy.lowering.kernels.convolution.floating.source import source_arguments
from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec, HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.floating.winograd.blocking import Blocking
from vacc_deploy.lowering.kernels.convolution.floating.winograd.filters import pack_weights, transform_filters
from vacc_deploy.lowering.kernels.convolution.floating.winograd.tiles import Contributes, FloatTiles
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function
from vacc_deploy.lowering.kernels.isa.planes import plane_argument
from vacc_deploy.lowering.kernels.isa.vector import Expr, let

Array: TypeAlias = npt.NDArray[Any]
TapAt: TypeAlias = Callable[[tuple[int, int]], tuple[int, int] | None]
"""Row and column of the filter at a place of the window, None where it is zero."""


@dataclass(frozen=True, slots=True)
class WinogradKernel:
    """One convolution.

    Attributes:
        spec: The convolution, with 3×3 filters.
        simd: The instruction set.
        blocking: How the work is cut.
        before: Rows and columns by which windows start before their outputs.
        taps: The filters of every phase of every result.
        contributes: Which products can differ from 0; None if all can.
    """

    spec: Hconv2dSpec | HconvTranspose2dSpec
    simd: FloatSimd
    blocking: Blocking
    before: tuple[int, int]
    taps: tuple[TapAt, ...] = (lambda place: place,)
    contributes: Contributes | None = None

    def pack(self, numbers: HconvNumbers) -> dict[str, Array]:
        """The constants in argument order; weights (C_out, C_in, 3, 3)."""
        scaled, params = self.spec.epilogue.pack(numbers, self.blocking.channels)
        dtype = self.simd.weight_dtype(self.spec.weight_dtype)
        return {"weights": pack_weights(self.blocking, scaled, dtype), **params}

    def emit(self, name: str) -> Any:
        """The ``PrimFunc`` ``name(x, [modulation, gain, residual], weights, scale, bias, [slope], y)``."""
        spec, simd, tiles = self.spec, self.simd, self.blocking
        with kernel_function(name) as function:
            x = source_arguments(spec, simd)
            inputs = epilogue_inputs(spec.epilogue)
            shape = (3, 3, spec.source.channels, tiles.channels)
            weights = argument("weights", shape, simd.weight_dtype(spec.weight_dtype))
            epilogue = epilogue_arguments(spec.epilogue, simd, inputs, tiles.channels)
            y = plane_argument("y", spec.target)

            def tap(tap_at: TapAt, i: int, j: int, channel: Expr, output: Expr) -> Expr | None:
                found = tap_at((i, j))
                if found is None:
                    return None
                return let(simd.load(weights, (*found, channel, output), tiles.lanes))

            filters = transform_filters(tiles, [partial(tap, tap_at) for tap_at in self.taps])
            with T.parallel(0, -(-tiles.count // tiles.per_group)) as group:
                stages = FloatTiles(tiles, let(T.min(group * tiles.per_group, tiles.count - tiles.per_group)))
                stages.transform_inputs(x, self.before)
                with T.serial(0, tiles.results) as result:
                    with T.serial(0, tiles.points) as point:
                        stages.multiply(filters, result, point, self.contributes)
                    stages.transform_outputs(epilogue, y, result)
            finish_plane(y, spec.epilogue, tiles.channels, tiles.lanes)
        return function.get()
