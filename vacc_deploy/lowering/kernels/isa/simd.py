"""Integer dot products and rounding of the vector instruction sets, behind one interface.

A dot product multiplies an *activation* that is the same in every lane (4 bytes of one pixel) by *weights*
that differ per lane (one output channel each) and adds into int32 lanes. How the weights lie in memory is the
instruction set's business: `Simd.pack_dot4` writes what `Simd.load_weights` reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from tvm import tirx

from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    constant,
    intrinsic,
    let,
    load,
    reinterpret,
    splat,
    wrapping,
)
from vacc_deploy.lowering.target import Isa, Target

Array: TypeAlias = npt.NDArray[Any]
DotOperand: TypeAlias = tuple[Expr, ...]
"""An operand of a dot product, in as many vectors as the instruction set needs."""


@dataclass(frozen=True, slots=True)
class Simd(ABC):
    """One vector instruction set.

    Attributes:
        lanes: 32-bit lanes of a vector register.
        registers: How many vector registers there are.
        weight_dtype: Element type of weights packed for `dot4`.
    """

    lanes: int
    registers: int
    weight_dtype: str

    @property
    def weight_elements(self) -> int:
        """Packed elements that one `dot4` reads: 4 bytes' worth of weights for every lane."""
        return 4 * self.lanes

    @abstractmethod
    def pack_dot4(self, weights: Array) -> Array:
        """Packs int8 weights (…, lanes, 4) into `weight_dtype` (…, weight_elements) for `load_weights`."""

    @abstractmethod
    def load_weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:
        """Loads the `weight_elements` elements at `index`."""

    @abstractmethod
    def spread4(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:
        """Loads 4 uint8 at `index` into every lane."""

    @abstractmethod
    def load4(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:
        """Loads ``4 · lanes`` neighbouring uint8 at `index`: 4 for every lane, instead of the same 4."""

    @abstractmethod
    def dot4(self, acc: Expr, activation: DotOperand, weights: DotOperand) -> Expr:
        """``acc[l] + Σ activation[k] · weights[l, k]`` over k < 4, exact; int32 lanes that wrap around."""

    @abstractmethod
    def dot2(self, acc: Expr, a: Expr, b: Expr) -> Expr:
        """``acc[l] + a[2l]·b[2l] + a[2l+1]·b[2l+1]`` of int16 vectors; int32 lanes that wrap around."""

    def lookup(self, table: Buffer, codes: Expr) -> Expr:
        """``table[codes]`` of a uint8 table (256,) and int32 lanes 0…255, as int32 lanes."""
        return cast(table[(codes,)], "int32")

    def to_int(self, value: Expr) -> Expr:
        """Float32 lanes rounded to int32, ties to even; every lane must lie within ±2^22.

        Adding 1.5·2^23 leaves the rounded integer in the low mantissa bits. `value` must not be a bare
        product: LLVM would contract product and sum to one FMA, with one rounding fewer.
        """
        magic = 12582912.0
        bits = reinterpret(value + constant(magic, "float32", self.lanes), f"int32x{self.lanes}")
        return bits - constant(0x4B400000, "int32", self.lanes)


@dataclass(frozen=True, slots=True)
class Avx512Vnni(Simd):
    """AVX-512 with ``vpdpbusd`` and ``vpdpwssd``: 64 multiplications per instruction."""

    lanes: int = 16
    registers: int = 32
    weight_dtype: str = "int8"

    def pack_dot4(self, weights: Array) -> Array:  # noqa: D102
        return np.ascontiguousarray(weights.reshape(*weights.shape[:-2], -1))

    def load_weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:  # noqa: D102
        return (let(load(buffer, index, 64)),)

    def spread4(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:  # noqa: D102
        word = splat(reinterpret(load(buffer, index, 4), "int32"), 16)
        return (let(reinterpret(word, "uint8x64")),)

    def load4(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:  # noqa: D102
        return (let(load(buffer, index, 64)),)

    def dot4(self, acc: Expr, activation: DotOperand, weights: DotOperand) -> Expr:  # noqa: D102
        return intrinsic("int32x16", "llvm.x86.avx512.vpdpbusd.512", acc, activation[0], weights[0])

    def dot2(self, acc: Expr, a: Expr, b: Expr) -> Expr:  # noqa: D102
        return intrinsic("int32x16", "llvm.x86.avx512.vpdpwssd.512", acc, a, b)

    def lookup(self, table: Buffer, codes: Expr) -> Expr:  # noqa: D102
        # The table is 64 words of 4 codes in 4 registers: two permutes find the word, a shift the code.
        words = [reinterpret(load(table, (64 * part,), 64), "int32x16") for part in range(4)]
        codes = let(codes)
        word = let(codes >> constant(2, "int32", 16))
        permute = "llvm.x86.avx512.vpermi2var.d.512"
        below, above = (intrinsic("int32x16", permute, words[i], word, words[i + 1]) for i in (0, 2))
        found = tirx.Select(codes < constant(128, "int32", 16), below, above)
        shift = (codes & constant(3, "int32", 16)) << constant(3, "int32", 16)
        return (found >> shift) & constant(255, "int32", 16)

    def to_int(self, value: Expr) -> Expr:  # noqa: D102
        nothing, every_lane = constant(0, "int32", 16), tirx.const(-1, "int16")
        mode = tirx.const(4, "int32")  # the current rounding mode, which TVM leaves at ties-to-even
        return intrinsic("int32x16", "llvm.x86.avx512.mask.cvtps2dq.512", value, nothing, every_lane, mode)


@dataclass(frozen=True, slots=True)
class WideningSimd(Simd):
    """Instruction sets without an exact 8-bit dot product: widen to int16, then multiply and add pairs.

    ``vpmaddubsw`` is no substitute, since it saturates its int16 sums. The four products of a `dot4` are
    taken in the order (0, 2), (1, 3), because even and odd bytes part with one mask and one shift.
    """

    weight_dtype: str = "int16"

    def pack_dot4(self, weights: Array) -> Array:  # noqa: D102
        pairs = weights.astype(np.int16).reshape(*weights.shape[:-1], 2, 2)  # (…, lane, word, byte)
        return np.ascontiguousarray(np.moveaxis(pairs, -1, -3).reshape(*weights.shape[:-2], -1))

    def load_weights(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:  # noqa: D102
        half = 2 * self.lanes
        second = (*index[:-1], index[-1] + half)
        return (let(load(buffer, index, half)), let(load(buffer, second, half)))

    def spread4(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:  # noqa: D102
        # A load spreads memory at no cost; spreading halves that were parted in a scalar register has one.
        return self._part(splat(reinterpret(load(buffer, index, 4), "int32"), self.lanes))

    def load4(self, buffer: Buffer, index: tuple[Expr, ...]) -> DotOperand:  # noqa: D102
        return self._part(load(buffer, index, 4 * self.lanes))

    def _part(self, codes: Expr) -> DotOperand:
        """Even and odd bytes of a vector, as int16 lanes."""
        half = 2 * self.lanes
        words = let(reinterpret(codes, f"uint16x{half}"))
        parts = (words & constant(0xFF, "uint16", half), words >> constant(8, "uint16", half))
        return tuple(let(reinterpret(part, f"int16x{half}")) for part in parts)

    def dot4(self, acc: Expr, activation: DotOperand, weights: DotOperand) -> Expr:  # noqa: D102
        return self.dot2(self.dot2(acc, activation[0], weights[0]), activation[1], weights[1])


@dataclass(frozen=True, slots=True)
class Avx2(WideningSimd):
    """AVX2, by ``vpmaddwd``."""

    lanes: int = 8
    registers: int = 16

    def dot2(self, acc: Expr, a: Expr, b: Expr) -> Expr:  # noqa: D102
        return wrapping("add", acc, intrinsic("int32x8", "llvm.x86.avx2.pmadd.wd", a, b))


@dataclass(frozen=True, slots=True)
class Baseline(WideningSimd):
    """What every x86-64 CPU has: SSE2, by ``pmaddwd``."""

    lanes: int = 4
    registers: int = 16

    def dot2(self, acc: Expr, a: Expr, b: Expr) -> Expr:  # noqa: D102
        return wrapping("add", acc, intrinsic("int32x4", "llvm.x86.sse2.pmadd.wd", a, b))


_SIMD: dict[Isa, Simd] = {
    Isa.AMX: Avx512Vnni(),  # every CPU with AMX has AVX-512 VNNI beside it
    Isa.VNNI: Avx512Vnni(),
    Isa.AVX2: Avx2(),
    Isa.PORTABLE: Baseline(),
}


def simd_of(target: Target) -> Simd:
    """The vector instruction set that kernels for `target` are written with."""
    return _SIMD[target.isa]
