"""float32 in registers, float16 or float32 in memory: what every float kernel is written with.

`FloatSimd.load` widens exactly and `FloatSimd.store` rounds once, half to even. Processors without
conversion instructions get the same conversions in integer arithmetic, subnormals, infinities and NaNs
included, because LLVM would call a library routine that an artifact does not carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    constant,
    lanes_of,
    let,
    load,
    reinterpret,
    splat,
    store,
    type_of,
)
from vacc_deploy.lowering.plane import StorageType
from vacc_deploy.lowering.target import Isa, Target


@dataclass(frozen=True, slots=True)
class FloatSimd:
    """The float side of an instruction set.

    Attributes:
        lanes: float32 values per vector register.
        registers: How many vector registers there are.
        converts: Whether float16 conversions are instructions.
    """

    lanes: int
    registers: int
    converts: bool

    def weight_dtype(self, wanted: StorageType) -> StorageType:
        """How weights lie in memory: float16 only where widening them is one instruction."""
        return wanted if self.converts else "float32"

    def load(self, buffer: Buffer, index: Sequence[Expr], lanes: int = 1) -> Expr:
        """`lanes` neighbouring elements of the last axis, as float32."""
        value = load(buffer, index, lanes)
        if buffer.dtype == "float32":
            return value
        return cast(value, "float32") if self.converts else _widen(value)

    def store(self, buffer: Buffer, index: Sequence[Expr], value: Expr) -> None:
        """Writes float32 lanes to neighbouring elements, rounded to the buffer's type."""
        if buffer.dtype != "float32":
            value = cast(value, "float16") if self.converts else _narrow(value)
        store(buffer, index, value)


_FLOAT_SIMD = {
    Isa.AMX: FloatSimd(lanes=16, registers=32, converts=True),
    Isa.VNNI: FloatSimd(lanes=16, registers=32, converts=True),
    Isa.AVX2: FloatSimd(lanes=8, registers=16, converts=True),
    Isa.PORTABLE: FloatSimd(lanes=4, registers=16, converts=False),
}


def float_simd_of(target: Target) -> FloatSimd:
    """The float instructions that kernels for `target` are written with."""
    return _FLOAT_SIMD[target.isa]


def _widen(value: Expr) -> Expr:
    """float16 to float32: moving the exponent is one exact multiplication by 2^112."""
    lanes = lanes_of(value)

    def word(bits: int) -> Expr:
        return constant(bits, "uint32", lanes)

    bits = let(cast(reinterpret(value, type_of("uint16", lanes)), "uint32"))
    sign = (bits & word(0x8000)) << word(16)
    magnitude = let((bits & word(0x7FFF)) << word(13))
    scaled = reinterpret(magnitude, type_of("float32", lanes)) * constant(2.0**112, "float32", lanes)
    finite = reinterpret(scaled, type_of("uint32", lanes))
    special = magnitude | word(0x7F800000)  # exponent 31: infinity and NaN stay so
    result = tirx.Select(magnitude >= word(0x0F800000), special, finite)
    return reinterpret(result | sign, type_of("float32", lanes))


def _narrow(value: Expr) -> Expr:
    """float32 to float16, half to even."""
    lanes = lanes_of(value)

    def word(bits: int) -> Expr:
        return constant(bits, "uint32", lanes)

    bits = let(reinterpret(value, type_of("uint32", lanes)))
    sign = let(bits & word(0x80000000))
    magnitude = let(bits ^ sign)
    # From 2^16 on: infinity; a NaN keeps a mantissa bit.
    huge = tirx.Select(magnitude > word(0x7F800000), word(0x7E00), word(0x7C00))
    # Below 2^-14: adding 0.5 lets the float adder align and round the mantissa.
    aligned = reinterpret(magnitude, type_of("float32", lanes)) + splat(tirx.const(0.5, "float32"), lanes)
    small = reinterpret(aligned, type_of("uint32", lanes)) - word(0x3F000000)
    # Else: lower the exponent by 112, add just under half a step, and one more where the result is odd.
    odd = (magnitude >> word(13)) & word(1)
    normal = (magnitude + word(0xC8000FFF) + odd) >> word(13)
    result = tirx.Select(
        magnitude >= word(0x47800000), huge, tirx.Select(magnitude < word(0x38800000), small, normal)
    )
    return reinterpret(cast(result | (sign >> word(16)), "uint16"), type_of("float16", lanes))
