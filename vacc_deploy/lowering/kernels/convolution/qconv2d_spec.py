"""Geometry of an int8 convolution, and its weights packed so that the zero point costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.epilogue import Epilogue
from vacc_deploy.lowering.plane import Plane

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class QConv2dSpec:
    """A convolution of a uint8 plane with int8 weights; everything that decides the code, no numbers.

    Attributes:
        source: uint8 plane whose halo covers the padding and holds the zero point.
        target: uint8 plane, or a float16 one for the variant that does not requantise.
        kernel: (height, width).
        stride: (vertical, horizontal).
        dilation: (vertical, horizontal).
        pads: (top, left) padding; what is needed at the bottom and right follows from the target's size.
        epilogue: What becomes of the sums.
    """

    source: Plane
    target: Plane
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    epilogue: Epilogue = field(default_factory=Epilogue)

    def __post_init__(self) -> None:
        source, target = self.source, self.target
        if source.dtype != "uint8" or target.dtype not in ("uint8", "float16"):
            raise ModelError(f"no int8 convolution from {source.dtype} to {target.dtype}")
        if source.batch != target.batch:
            raise ModelError(f"a convolution keeps the batch, but {source.batch} became {target.batch}")
        for axis, size, side, halo in (
            (0, source.height, target.height, (source.halo.top, source.halo.bottom)),
            (1, source.width, target.width, (source.halo.left, source.halo.right)),
        ):
            first = -self.pads[axis]
            last = first + (side - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
            if first < -halo[0] or last >= size + halo[1]:
                lines = "rows" if axis == 0 else "columns"
                raise ModelError(
                    f"a convolution reads {lines} {first} to {last} of a plane that has only "
                    f"{-halo[0]} to {size + halo[1] - 1}",
                    hint="widen the plane's halo to the padding of all its consumers",
                )

    @property
    def taps(self) -> int:
        """Positions of the kernel window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        pixels = self.target.batch * self.target.height * self.target.width
        return pixels * self.target.channels * self.source.channels * self.taps

    def source_row(self, y: Any, dy: Any) -> Any:
        """Source row, in interior coordinates, that tap row `dy` of output row `y` reads."""
        return y * self.stride[0] + dy * self.dilation[0] - self.pads[0]

    def source_column(self, x: Any, dx: Any) -> Any:
        """Source column, in interior coordinates, that tap column `dx` of output column `x` reads."""
        return x * self.stride[1] + dx * self.dilation[1] - self.pads[1]


def largest_sum(weights: Array, bias: Array, zero_point: int) -> int:
    """The largest ``|Σ (q − z)·w + b|`` that any uint8 input can reach, over all output channels.

    Args:
        weights: int8 (C_out, …).
        bias: int32 (C_out,).
        zero_point: z of the input.
    """
    flat = weights.reshape(weights.shape[0], -1)
    positive = np.maximum(flat, 0).sum(1, dtype=np.int64)
    negative = flat.sum(1, dtype=np.int64) - positive
    up, down = 255 - zero_point, -zero_point
    high = positive * up + negative * down + bias
    low = positive * down + negative * up + bias
    return int(max(np.abs(high).max(initial=0), np.abs(low).max(initial=0)))


def check_sums(weights: Array, bias: Array, zero_point: int, *, limit: int = 2**31) -> None:
    """Refuses weights whose sums could leave int32.

    Raises:
        ModelError: Some input makes a sum of `limit` or more.
    """
    largest = largest_sum(weights, bias, zero_point)
    if largest >= limit:
        raise ModelError(
            "a convolution's sums can overflow int32",
            why=f"inputs exist that add up to {largest}, the limit is {limit - 1}",
            hint="exclude this layer from quantisation (exclude_layers), or give it larger scales",
        )


def fold_zero_point(weights: Array, bias: Array, zero_point: int) -> Array:
    """The bias for sums of raw codes: ``Σ q·w + (b − z·Σ w) = Σ (q − z)·w + b``, modulo 2^32."""
    total = weights.reshape(weights.shape[0], -1).astype(np.int64).sum(1)
    folded = bias.astype(np.int64) - zero_point * total
    wrapped: Array = (folded & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return wrapped


def pad_channels(array: Array, axis: int, channels: int) -> Array:
    """`array` with zeros appended along `axis` up to `channels`."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, channels - array.shape[axis])
    return np.pad(array, widths)
