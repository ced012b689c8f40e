"""What decides the code of a convolution, ordinary or transposed, whatever it sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy.typing as npt

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.convolution.transposition import (
    TransposePart,
    required_halo,
    transpose_parts,
)
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo, Plane, StorageType

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ConvolutionSpec(ABC):
    """Planes and geometry; no numbers, so that equal layers share one compiled function.

    Attributes:
        source: Input plane; its halo covers `required_halo`.
        target: Output plane; its size says how many windows there are.
        window: What slides over the source, or over the target of a transposed convolution.
        groups: Equal parts of the channels that are convolved apart.
    """

    source_types: ClassVar[tuple[StorageType, ...]]
    target_types: ClassVar[tuple[StorageType, ...]]

    source: Plane
    target: Plane
    window: Window
    groups: int = 1

    def __post_init__(self) -> None:
        """Checks that the planes fit each other and the window.

        Raises:
            ModelError: They do not.
        """
        source, target, need = self.source, self.target, self.required_halo
        if source.dtype not in self.source_types or target.dtype not in self.target_types:
            raise ModelError(f"this convolution cannot make {target.dtype} of {source.dtype}")
        if source.batch != target.batch:
            raise ModelError("a convolution cannot change the batch", why=f"{source.batch} -> {target.batch}")
        if source.channels % self.groups or target.channels % self.groups:
            raise ModelError(
                "groups must divide the channels",
                why=f"{self.groups} groups, {source.channels} inputs and {target.channels} outputs",
            )
        if not source.halo.covers(need):
            raise ModelError(
                "the input plane's halo is smaller than what the convolution reads",
                why=f"it needs {need} and has {source.halo}",
                hint="widen the halo to what all its consumers read",
            )

    @property
    @abstractmethod
    def required_halo(self) -> Halo:
        """The border of the source that is read."""

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """Of the weights, in ONNX's order."""

    @property
    @abstractmethod
    def macs(self) -> int:
        """Multiply-accumulates of one call, those with the halo included."""

    @property
    def depthwise(self) -> bool:
        """Whether every output channel has one input channel, its own."""
        return self.groups == self.source.channels == self.target.channels

    def check_weights(self, weights: Array) -> None:
        """Refuses weights of another shape.

        Raises:
            ModelError: They are not of `weight_shape`.
        """
        if weights.shape != self.weight_shape:
            raise ModelError(
                "convolution weights of the wrong shape", why=f"{weights.shape}, not {self.weight_shape}"
            )


class OrdinarySpec(ConvolutionSpec):
    """A convolution whose windows lie in the source."""

    __slots__ = ()

    @property
    def required_halo(self) -> Halo:  # noqa: D102
        return self.window.reach(self.source.size, self.target.size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(C_out, C_in/groups, kH, kW)."""
        return (self.target.channels, self.source.channels // self.groups, *self.window.kernel)

    @property
    def macs(self) -> int:  # noqa: D102
        outputs = self.target.batch * self.target.channels * self.target.height * self.target.width
        return outputs * (self.source.channels // self.groups) * self.window.taps


class TransposedSpec(ConvolutionSpec):
    """A convolution whose windows lie in the target."""

    __slots__ = ()

    def parts(self, groups: int = 1) -> list[TransposePart]:
        """The ordinary convolutions that it consists of, each cut into `groups` groups."""
        return transpose_parts(self.window, self.target.size, groups)

    @property
    def required_halo(self) -> Halo:  # noqa: D102
        return required_halo(self.parts(), self.source.size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(C_in, C_out/groups, kH, kW)."""
        return (self.source.channels, self.target.channels // self.groups, *self.window.kernel)

    @property
    def macs(self) -> int:  # noqa: D102
        sections = [part.section for part in self.parts()]
        sums = sum(section.rows * section.columns * section.window.taps for section in sections)
        return sums * self.target.batch * self.target.channels * (self.source.channels // self.groups)
