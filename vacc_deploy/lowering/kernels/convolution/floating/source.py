"""The picture that a float convolution reads, widened, and perhaps scaled on the way.

Style modulation multiplies every input channel by a factor that is known only at run time. Done where pixels
are loaded, it costs a multiplication instead of a pass over the picture, and no rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec, HconvTranspose2dSpec
from vacc_deploy.lowering.kernels.isa.float_simd import FloatSimd
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer, plane_argument
from vacc_deploy.lowering.kernels.isa.vector import Expr, let


@dataclass(frozen=True, slots=True)
class FloatSource(PlaneBuffer):
    """The source plane, read as float32.

    Attributes:
        simd: What widens it.
        modulation: Plane (N, C, 1, 1) of factors, if there are any.
    """

    simd: FloatSimd
    modulation: PlaneBuffer | None

    def factors(self, n: Expr, block: Expr, channel: Expr, lanes: int) -> Expr | None:
        """The factors of `lanes` channels, to be loaded once for all their pixels."""
        if self.modulation is None:
            return None
        place = self.modulation.index(n, block, 0, 0, channel)
        return let(self.simd.load(self.modulation.buffer, place, lanes))

    def widened(self, place: tuple[Expr, ...], lanes: int, factors: Expr | None) -> Expr:
        """`lanes` channels at `place` (picture, block, y, x, channel in block), times their factors."""
        pixel = self.simd.load(self.buffer, self.index(*place), lanes)
        return let(pixel if factors is None else pixel * factors)


def source_arguments(spec: Hconv2dSpec | HconvTranspose2dSpec, simd: FloatSimd) -> FloatSource:
    """Declares ``x`` and perhaps ``modulation``, the first arguments."""
    x = plane_argument("x", spec.source)
    modulation = None if spec.modulation is None else plane_argument("modulation", spec.modulation)
    return FloatSource(x.plane, x.buffer, simd, modulation)
