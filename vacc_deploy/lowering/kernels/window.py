"""A window that slides over a picture: what ONNX's Conv, ConvTranspose and pools have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vacc_deploy.lowering.plane import Halo


@dataclass(frozen=True, slots=True)
class Window:
    """Size, steps and padding. A convolution reads through its window; a transposed one writes through it.

    Attributes:
        kernel: (height, width) in taps.
        stride: (vertical, horizontal) distance of neighbouring windows.
        dilation: (vertical, horizontal) distance of taps.
        padding: (top, left): the first window starts so many pixels before the picture; may be negative. What
            is needed at the bottom and right follows from how many windows there are.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    @property
    def taps(self) -> int:
        """Positions of the window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def span(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        return (
            (self.kernel[0] - 1) * self.dilation[0] + 1,
            (self.kernel[1] - 1) * self.dilation[1] + 1,
        )

    def row(self, y: Any, dy: Any) -> Any:
        """Picture row, in interior coordinates, of tap row `dy` of the windows of row `y`."""
        return y * self.stride[0] + dy * self.dilation[0] - self.padding[0]

    def column(self, x: Any, dx: Any) -> Any:
        """Picture column, in interior coordinates, of tap column `dx` of the windows of column `x`."""
        return x * self.stride[1] + dx * self.dilation[1] - self.padding[1]

    def reach(self, size: tuple[int, int], windows: tuple[int, int]) -> Halo:
        """The border of a picture of `size` (height, width) into which (rows, columns) of windows reach."""
        bottom, right = (
            (windows[axis] - 1) * self.stride[axis] + self.span[axis] - self.padding[axis] - size[axis]
            for axis in range(2)
        )
        return Halo(max(0, self.padding[0]), max(0, self.padding[1]), max(0, bottom), max(0, right))
