"""What a direct convolution asks of the kind of number that it sums: floats, or weights times codes.

A `Products` knows how weights are packed, how an input value comes into every lane, and what a step of the
sum is. `direct` builds a whole convolution from one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeAlias, TypeVar

import numpy.typing as npt

from vacc_deploy.lowering.kernels.convolution.section import Registers
from vacc_deploy.lowering.kernels.isa.planes import PlaneBuffer
from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr

Array: TypeAlias = npt.NDArray[Any]
Multiplicand: TypeAlias = Any
"""A multiplicand in as many vectors as the instruction set needs."""


Source = TypeVar("Source", bound=PlaneBuffer)
"""The input as a kind of number reads it."""


class Products(ABC, Generic[Source]):
    """One kind of number.

    Attributes:
        registers: What a register block may hold.
        depth: Input channels that one multiplication sums.
        element: Type of the sums.
        weight_dtype: Type of packed weights.
        weight_elements: Packed weights that one multiplication reads.
    """

    registers: Registers
    depth: int
    element: str
    weight_dtype: str
    weight_elements: int

    @abstractmethod
    def pack(self, weights: Array) -> Array:
        """Packs weights (…, vectors, lanes, depth) into (…, vectors·weight_elements)."""

    @abstractmethod
    def prepare(self, x: Source, shape: tuple[int, int]) -> Inputs:
        """Room for (rows, columns) of input; call it inside the parallel loop."""

    @abstractmethod
    def weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> Multiplicand:
        """Loads the weights of one multiplication."""

    @abstractmethod
    def add_product(self, acc: Expr, activation: Multiplicand, weights: Multiplicand) -> Expr:
        """The sum with one multiplication more."""


class Inputs(ABC):
    """The input pixels that a few register blocks read."""

    @abstractmethod
    def load(self, n: Expr, top: Expr, left: Expr, columns: Expr) -> None:
        """Moves the window to (top, left), in interior coordinates; only `columns` columns are needed."""

    @abstractmethod
    def spread(self, row: Expr, block: Expr, column: Expr, channel: Expr) -> Multiplicand:
        """`depth` channels of one pixel of the window, in every lane."""
