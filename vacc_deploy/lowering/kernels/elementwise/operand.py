"""Operands of element-wise kernels: full planes and the shapes that broadcast over one.

An operand of an (N, C, H, W) result is itself (N or 1, C or 1, H, W) or (N or 1, C or 1, 1, 1): a full plane,
one value per pixel, one per channel, or a single one. A constant is an operand too, packed as a plane and
passed among the kernel's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.codes import load_centred
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, concat, let, load, splat, take
from vacc_deploy.lowering.kernels.plane_rows import LANES, FlatPlane
from vacc_deploy.lowering.plane import Plane


def broadcasts(operand: Plane, output: Plane) -> bool:
    """Whether an operand has one of the shapes that this module reads."""
    picture = (operand.height, operand.width) in {(output.height, output.width), (1, 1)}
    channels = operand.channels in {output.channels, 1}
    return picture and channels and operand.batch in {output.batch, 1}


def check_broadcast(operand: Plane, output: Plane, where: str) -> None:
    """Refuses an operand that does not broadcast to `output`.

    Raises:
        ModelError: Its shape is none of those that this module reads.
    """
    if not broadcasts(operand, output):
        shape, wanted = operand_shape(operand), operand_shape(output)
        raise ModelError(
            f"an operand of shape {shape} does not broadcast to {wanted}",
            where=where,
            hint="operands are full, per channel (N, C, 1, 1), per pixel (N, 1, H, W) or single values",
        )


def operand_shape(plane: Plane) -> tuple[int, int, int, int]:
    """(N, C, H, W)."""
    return (plane.batch, plane.channels, plane.height, plane.width)


def constant_plane(values: npt.NDArray[Any], plane: Plane) -> npt.NDArray[Any]:
    """The memory of a plane that holds (N, C, H, W) `values`; the rest holds its fill value."""
    stored = np.full(plane.shape, plane.fill, plane.dtype)
    rows = slice(plane.halo.top, plane.halo.top + plane.height)
    columns = slice(plane.halo.left, plane.halo.left + plane.width)
    for channel in range(plane.channels):
        stored[:, channel // plane.block, rows, columns, channel % plane.block] = values[:, channel]
    return stored


@dataclass(slots=True)
class OperandReader:
    """Reads one operand along a row of the output, as int32 ``q − z`` or float32.

    Attributes:
        source: The operand.
        output: The plane that it broadcasts to.
    """

    source: FlatPlane
    output: Plane
    _row: tuple[Expr, Expr, Expr] = field(init=False, default=(0, 0, 0))
    _repeated: Expr = field(init=False, default=None)

    @property
    def per_channel(self) -> bool:
        """Whether it holds one value per channel."""
        plane = self.source.plane
        return plane.channels == self.output.channels and not self.is_full and not self.per_pixel

    @property
    def is_full(self) -> bool:
        """Whether it has the output's shape."""
        return operand_shape(self.source.plane)[1:] == operand_shape(self.output)[1:]

    @property
    def per_pixel(self) -> bool:
        """Whether it holds one value per pixel."""
        plane = self.source.plane
        same_picture = (plane.height, plane.width) == (self.output.height, self.output.width)
        return not self.is_full and plane.channels == 1 and same_picture

    @property
    def lanes(self) -> int:
        """The widest vector that may be asked for; a per-pixel operand allows one pixel at a time."""
        return min(LANES, self.output.block) if self.per_pixel else LANES

    def enter_row(self, n: Expr, block: Expr, y: Expr) -> None:
        """Moves to a row of the output and reads what does not change along it."""
        n = n if self.source.plane.batch > 1 else 0
        if self.is_full or self.per_pixel:
            self._row = (n, 0 if self.per_pixel else block, y)
            return
        if not self.per_channel:
            self._repeated = let(splat(self._compute(self.source.at(n, 0, 0), 1), LANES))
            return
        values = let(self._compute(self.source.at(n, block, 0), self.output.block))
        self._repeated = let(concat([values] * (LANES // self.output.block)))

    def read(self, offset: Expr, channel: int, lanes: int) -> Expr:
        """The values for `lanes` elements from `offset` on; see `plane_rows.vectors`."""
        if self._repeated is not None:
            if lanes == LANES:
                return self._repeated
            return take(self._repeated, range(channel, channel + lanes))
        at = self.source.at(*self._row)
        if self.per_pixel:
            pixel = offset // self.output.block
            return splat(self._compute(at + pixel * self.source.plane.block, 1), lanes)
        return self._compute(at + offset, lanes)

    def _compute(self, at: Expr, lanes: int) -> Expr:
        if self.source.codes is not None:
            return load_centred(self.source, at, lanes)
        return cast(load(self.source.buffer, (at,), lanes), "float32")
