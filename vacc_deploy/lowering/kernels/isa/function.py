"""Opening a kernel and declaring what it works on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.vector import Buffer, Expr

CACHE_LINE = 64
"""Alignment in bytes of every argument and scratch buffer; compiled code faults on less."""


@contextmanager
def kernel_function(name: str) -> Iterator[IRBuilder]:
    """Opens the ``PrimFunc`` called `name`; after the block, ``.get()`` of the yielded builder returns it.

    ::

        with kernel_function("copy") as function:
            source = argument("source", (64,), "uint8")
            ...
        return function.get()
    """
    with IRBuilder() as function, T.prim_func(s_tir=True):
        T.func_name(name)
        T.func_attr({"tirx.noalias": True, "global_symbol": name})
        yield function


def argument(name: str, shape: Sequence[int], dtype: str) -> Buffer:
    """Declares the next argument: a dense buffer that starts on a cache line."""
    return T.arg(name, T.buffer(tuple(shape), dtype, layout=None, align=CACHE_LINE))


def register(element: str, lanes: int) -> Buffer:
    """One vector variable; LLVM keeps it in a register as long as every access has a constant index."""
    return T.alloc_buffer((lanes,), element, scope="local", layout=None)


def read(variable: Buffer, lanes: int) -> Expr:
    """The value of a `register`."""
    return variable[(T.ramp(0, 1, lanes),)]


def write(variable: Buffer, value: Expr, lanes: int) -> None:
    """Assigns a `register`."""
    T.buffer_store(variable, value, [T.ramp(0, 1, lanes)])


def scratch(shape: Sequence[int], dtype: str, *, shared: bool = False) -> Buffer:
    """Memory that lives as long as the block it is declared in.

    Args:
        shape: Its shape. Prefer one axis: TVM shrinks axes that are never used to their end, and with them
            the stride that was chosen to keep rows out of each other's cache sets.
        dtype: Its element type.
        shared: Declared outside a parallel loop and used by all its threads; otherwise it belongs to the
            thread, so declare it inside. More than 1 KB comes from TVM's workspace pool, less from the stack.
    """
    scope = "global" if shared else "local"
    return T.alloc_buffer(tuple(shape), dtype, scope=scope, layout=None, align=CACHE_LINE)
