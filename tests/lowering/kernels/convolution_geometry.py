"""Geometry of the cases of convolution tests, whatever is summed."""

from __future__ import annotations

from dataclasses import dataclass

from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo, Plane, StorageType
from vacc_deploy.runtime.reference.conv2d import output_size


@dataclass(frozen=True)
class Geometry:
    """One convolution; `pads` is (top, left, bottom, right)."""

    inputs: int
    outputs: int
    height: int = 7
    width: int = 13
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    batch: int = 1
    groups: int = 1

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.pads[:2])

    @property
    def output_size(self) -> tuple[int, int]:
        """(rows, columns) of the output."""
        rows, columns = (
            output_size(size, kernel, stride, dilation, before, after)
            for size, kernel, stride, dilation, before, after in zip(
                (self.height, self.width),
                self.kernel,
                self.stride,
                self.dilation,
                self.pads[:2],
                self.pads[2:],
                strict=True,
            )
        )
        return rows, columns

    @property
    def terms(self) -> int:
        """Products of a sum."""
        return self.inputs // self.groups * self.window.taps

    def source(self, dtype: StorageType, halo: Halo | None = None, fill: int = 0) -> Plane:
        """The input plane; its halo is the padding unless given."""
        padding = Halo(*self.pads)
        return Plane(self.batch, self.inputs, self.height, self.width, dtype, halo or padding, fill)

    def target(self, dtype: StorageType, halo: Halo, fill: int = 0) -> Plane:
        """The output plane."""
        return Plane(self.batch, self.outputs, *self.output_size, dtype, halo, fill)
