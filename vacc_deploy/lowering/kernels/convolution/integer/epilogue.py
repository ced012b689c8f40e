"""What becomes of a convolution's int32 sums: requantise, activate, add a residual, store.

    q = clamp(round_half_even(f32(acc) · m) + z, low, high)                 uint8 target
    q = table[q]                                                            where a table is fused
    q = clamp(round_half_even(f32(q − z) · slope[q < z]) + z_t)             where that table is two lines
    y = clamp(round_half_even(f32((q − z)·a + (r − z_r)·b) · 2^-k) + z_y)   where a residual r is fused
    y = f16(f32(acc) · m)                                                   float16 target
    y = f16(max(f32(acc) · m, 0))                                           where a Relu is fused

Each step is exactly the operator of `runtime.reference` that it replaces, so fusing never changes a byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vacc_deploy.lowering.plane import Plane


@dataclass(frozen=True, slots=True)
class Residual:
    """A second operand that is added to the result.

    Attributes:
        source: uint8 plane of the operand, same picture and channels as the target.
        low: Smallest code of the sum.
        high: Largest code of the sum.
    """

    source: Plane
    low: int = 0
    high: int = 255


@dataclass(frozen=True, slots=True)
class Epilogue:
    """The steps after the sum; `epilogue_writer` packs the numbers that they work with and has their code.

    Attributes:
        zero_point: Code of 0 of the requantised result; the target's own unless a residual follows.
        low: Smallest code of the requantised result (the zero point where a ReLU is fused).
        high: Largest code.
        table: ``lookup`` maps every code through a table of 256 entries; ``slopes`` computes one that
            `slopes.slopes_of` finds to be two lines.
        residual: Adds another plane afterwards. The table's output, if any, has `table_zero_point`.
        table_zero_point: Code of 0 after the table; equals `zero_point` without one.
        relu: Whether a float16 result is 0 where the sum is negative; codes have `low` for that.
    """

    zero_point: int = 0
    low: int = 0
    high: int = 255
    table: Literal["none", "lookup", "slopes"] = "none"
    table_zero_point: int = 0
    residual: Residual | None = None
    relu: bool = False

    def keeps_zero(self, fill: int) -> bool:
        """Whether sums of 0 become `fill`, the target's code of 0; not if a table or a clamp changes it."""
        added = self.residual is None or self.residual.low <= fill <= self.residual.high
        keeps = self.table in ("none", "slopes")
        return keeps and self.low <= self.zero_point <= self.high and added

    def representative(self, fill: int) -> Epilogue:
        """The epilogue that stands for all that the same code computes; `fill` is the target's zero point."""
        residual = self.residual and Residual(replace(self.residual.source, fill=0))
        low = 0 if self.keeps_zero(fill) else 1
        return Epilogue(low=low, table=self.table, residual=residual, relu=self.relu)
