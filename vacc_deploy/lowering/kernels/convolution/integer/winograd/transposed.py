"""int8 transposed convolution with 3×3 filters in steps of 2 by Winograd: the same bytes, fewer products.

The output's four pictures (`four_results`) are the results of the form `Transposed`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.four_results import FourResults
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import pack_epilogue
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec, QConvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.sums import (
    fold_zero_point,
    largest_sum,
    pad_channels,
)
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import Transposed, two_tap_filter
from vacc_deploy.lowering.kernels.convolution.integer.winograd.tiles import WinogradTiles
from vacc_deploy.lowering.kernels.convolution.integer.winograd.tiling import (
    FAR_WEIGHTS,
    HEAVY_WEIGHTS,
    Tiling,
)
from vacc_deploy.lowering.kernels.isa.function import kernel_function
from vacc_deploy.lowering.kernels.isa.simd import Simd
from vacc_deploy.lowering.plane import Halo, Plane

Array: TypeAlias = npt.NDArray[Any]

# (bytes, tiles) as `Tiling.pays` takes them. Transformed weights are 11 times larger than packed ones and are
# memory that an artifact takes.
_FEWEST_TILES = ((FAR_WEIGHTS, 128), (HEAVY_WEIGHTS, 32), (0, 4))


@dataclass(frozen=True, slots=True)
class TransposedTiling:
    """The convolution as four results, and these as tiles."""

    results: FourResults
    tiling: Tiling

    @classmethod
    def of(cls, simd: Simd, spec: QConvTranspose2dSpec) -> TransposedTiling | None:
        """That of `spec`, or None where the algorithm does not apply or does not pay."""
        results = FourResults.of(spec)
        if results is None:
            return None
        height, width = results.size
        covered = replace(spec.target, height=height, width=width, halo=Halo())
        seen = QConv2dSpec(spec.source, covered, results.window, epilogue=spec.epilogue)
        tiling = Tiling(Transposed(results.single), seen, simd)
        return cls(results, tiling) if tiling.pays(_FEWEST_TILES) else None

    def is_exact(self, numbers: QConvNumbers) -> bool:
        """Whether sums stay small enough; weights (C_out, C_in, 3, 3)."""
        largest = largest_sum(numbers.weights, numbers.bias, self.tiling.spec.source.fill)
        return self.tiling.form.scales(numbers.multiplier) and largest < self.tiling.form.sum_limit

    def pack(self, numbers: QConvNumbers) -> dict[str, Array]:
        """Parameters in argument order, biases of every result; weights (C_out, C_in, 3, 3)."""
        spec, channels = self.tiling.spec, self.tiling.channels
        filters, biases = [], []
        for part in self.results.parts:
            taps = two_tap_filter(numbers.weights, functools.partial(self.results.tap, part))
            filters.append([taps])
            biases.append(pad_channels(fold_zero_point(taps, numbers.bias, spec.source.fill), 0, channels))
        bias, multiplier = self.tiling.form.scale_sums(np.concatenate(biases), numbers.multiplier)
        return {
            "weights": self.tiling.pack(self.tiling.chunk(), filters),
            "bias": bias,
            **pack_epilogue(spec, channels, replace(numbers, multiplier=multiplier)),
        }

    def emit(self, target: Plane) -> Any:
        """The kernel: arguments source, [residual], weights, bias, the epilogue's, target."""
        with kernel_function("qconv_transpose2d_winograd") as function:
            WinogradTiles(self.tiling, self.tiling.chunk(), target).emit()
        return function.get()
