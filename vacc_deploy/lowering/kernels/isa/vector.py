"""TIR vectors: constants, memory access, casts and shuffles.

A vector is a TIR expression of type ``<element>x<lanes>``; one lane is a scalar. Everything here builds an
expression, except `store`, `effect` and `prefetch`, which append a statement to the function being built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from tvm import tirx
from tvm.tirx.script import builder as T

Expr: TypeAlias = Any
"""A TIR expression (tvm ships no types)."""
Buffer: TypeAlias = Any
"""A TIR buffer."""


def type_of(element: str, lanes: int) -> str:
    """The TIR name of a vector type: ``int32x16``, or plain ``int32`` for one lane."""
    return element if lanes == 1 else f"{element}x{lanes}"


def lanes_of(value: Expr) -> int:
    """Number of lanes of an expression."""
    _, _, lanes = str(value.ty).partition("x")
    return int(lanes) if lanes else 1


def element_of(value: Expr) -> str:
    """Element type of an expression, for example ``int32``."""
    return str(value.ty).partition("x")[0]


def constant(value: float, element: str, lanes: int = 1) -> Expr:
    """`value` in every lane."""
    return splat(tirx.const(value, element), lanes)


def splat(scalar: Expr, lanes: int) -> Expr:
    """A scalar expression in every lane."""
    return scalar if lanes == 1 else tirx.Broadcast(scalar, lanes)


def literal(values: Sequence[int], element: str = "int32") -> Expr:
    """A constant vector of these lane values."""
    return tirx.Shuffle([tirx.const(value, element) for value in values], list(range(len(values))))


def load(buffer: Buffer, index: Sequence[Expr], lanes: int = 1) -> Expr:
    """`lanes` neighbouring elements of the last axis, starting at `index`."""
    if lanes == 1:
        return buffer[tuple(index)]
    return buffer[(*index[:-1], T.ramp(index[-1], 1, lanes))]


def store(buffer: Buffer, index: Sequence[Expr], value: Expr) -> None:
    """Writes a vector to neighbouring elements of the last axis, starting at `index`."""
    lanes = lanes_of(value)
    last = index[-1] if lanes == 1 else T.ramp(index[-1], 1, lanes)
    T.buffer_store(buffer, value, [*index[:-1], last])


def address(buffer: Buffer, index: Sequence[Expr]) -> Expr:
    """The pointer to an element."""
    return T.address_of(buffer[tuple(index)])


def let(value: Expr) -> Expr:
    """Names `value`, so that it is computed here and once, however often it is used."""
    return T.bind(value)


def cast(value: Expr, element: str) -> Expr:
    """Converts every lane; narrowing integers keeps the low bits."""
    return tirx.Cast(type_of(element, lanes_of(value)), value)


def reinterpret(value: Expr, dtype: str) -> Expr:
    """The same bits as another vector type of equal size."""
    return T.reinterpret(dtype, value)


def take(value: Expr, lanes: Sequence[int]) -> Expr:
    """The chosen lanes of `value`, in this order."""
    return tirx.Shuffle([value], list(lanes))


def concat(values: Sequence[Expr]) -> Expr:
    """Vectors of one type, one after the other."""
    if len(values) == 1:
        return values[0]
    return tirx.Shuffle(list(values), list(range(sum(lanes_of(value) for value in values))))


def wrapping(operation: Literal["add", "sub", "mul"], a: Expr, b: Expr) -> Expr:
    """``a + b``, ``a − b`` or ``a · b`` of integer vectors modulo 2^bits.

    TIR's own operators promise LLVM that 32-bit sums do not overflow, so what follows from an overflow is
    undefined. LLVM's vector-predicated operations promise nothing; with all lanes on they become the plain
    instructions.
    """
    lanes = lanes_of(a)
    every_lane = splat(tirx.const(True, "bool"), lanes)
    return intrinsic(str(a.ty), f"llvm.vp.{operation}", a, b, every_lane, tirx.const(lanes, "int32"))


def clamp(value: Expr, low: float, high: float) -> Expr:
    """``min(max(value, low), high)`` in every lane."""
    element, lanes = element_of(value), lanes_of(value)
    return tirx.min(tirx.max(value, constant(low, element, lanes)), constant(high, element, lanes))


def intrinsic(dtype: str, name: str, *arguments: Expr) -> Expr:
    """A call of an LLVM intrinsic without side effects."""
    return T.call_llvm_pure_intrin(dtype, name, *arguments)


def effect(name: str, *arguments: Expr) -> None:
    """Appends a call of an LLVM intrinsic that has side effects and no result."""
    T.evaluate(T.call_llvm_intrin("void", name, *arguments))


def prefetch(buffer: Buffer, index: Sequence[Expr], *, locality: int = 2) -> None:
    """Asks for the cache line of an element; 3 is the nearest cache, 0 no cache. Never faults."""
    arguments = (tirx.const(0, "int32"), tirx.const(locality, "int32"), tirx.const(1, "int32"))
    effect("llvm.prefetch", address(buffer, index), *arguments)
