"""The CPU's peak at what convolutions consist of: multiply-accumulates between registers, no memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tvm
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.build import tvm_target
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function, read, register, write
from vacc_deploy.lowering.kernels.isa.simd import Simd, simd_of
from vacc_deploy.lowering.kernels.isa.tile import ROW_BYTES, ROWS, AmxTiles, TileShape
from vacc_deploy.lowering.kernels.isa.vector import Buffer, constant, let, load, store
from vacc_deploy.lowering.target import Isa, Target

_STEPS = 1 << 16  # of one call: milliseconds
_CHAINS = 12  # independent sums: more than latency times throughput on every CPU there is
_LEFTS = 2  # activations that share one load of weights
_CALLS = 7
_ELEMENTS = 4096  # of each array: they stay in the first-level cache


def int8_peak_gops(target: Target) -> float:
    """Billions of int8 multiplications and additions per second and core, by CPU time."""
    if target.isa is Isa.AMX:
        from vacc_deploy.runtime.backend import request_amx

        request_amx()
        return _measure(_tile_loop(target), target, 4 * ROWS * ROWS * ROW_BYTES * 2)
    simd = simd_of(target)
    return _measure(_dot_loop(target), target, _dot_chains(target) * simd.lanes * 4 * 2)


def float_peak_gops(target: Target) -> float:
    """Billions of float32 multiplications and additions per second and core, by CPU time."""
    return _measure(_fma_loop(target), target, _CHAINS * simd_of(target).lanes * 2)


def _dot_chains(target: Target) -> int:
    """Sums of the dot-product loop: as many as its registers hold beside the operands."""
    return _CHAINS if simd_of(target).registers == 32 else 8


def _measure(function: Any, target: Target, operations: int) -> float:
    built = tvm.tirx.build(tvm.IRModule({"peak": function}), target=tvm_target(target))
    weights = simd_of(target).weight_dtype
    arrays = [tvm.runtime.tensor(np.ones(_ELEMENTS, dtype)) for dtype in ("uint8", weights, "int32")]
    best = float("inf")
    for _ in range(_CALLS):
        started = time.process_time()
        built["peak"](*arrays)
        best = min(best, time.process_time() - started)
    return operations * _STEPS / best / 1e9


def _arguments(simd: Simd) -> tuple[Buffer, Buffer, Buffer]:
    """Declares source, weights and result."""
    kinds = {"source": "uint8", "weights": simd.weight_dtype, "result": "int32"}
    source, weights, result = (argument(name, (_ELEMENTS,), dtype) for name, dtype in kinds.items())
    return source, weights, result


def _dot_loop(target: Target) -> Any:
    simd = simd_of(target)
    lanes, rights = simd.lanes, _dot_chains(target) // _LEFTS
    with kernel_function("peak") as function:
        source, weights, result = _arguments(simd)
        lefts = [simd.spread4(source, (4 * i,)) for i in range(_LEFTS)]
        sums = [[register("int32", lanes) for _ in lefts] for _ in range(rights)]
        for total in (total for row in sums for total in row):
            write(total, constant(0, "int32", lanes), lanes)
        # Weights change from step to step, or LLVM would take multiplications out of the loop: where a dot
        # product is several instructions, only the last one knows the sum.
        with T.serial(0, _STEPS) as step:
            for r, row in enumerate(sums):
                place = (T.floormod(step, 8) * rights + r) * simd.weight_elements
                right = simd.load_weights(weights, (place,))
                for total, left in zip(row, lefts, strict=True):
                    write(total, simd.dot4(read(total, lanes), left, right), lanes)
        for index, total in enumerate(total for row in sums for total in row):
            store(result, (index * lanes,), read(total, lanes))
    return function.get()


def _fma_loop(target: Target) -> Any:
    simd = simd_of(target)
    lanes = simd.lanes
    with kernel_function("peak") as function:
        source, _, result = _arguments(simd)
        factor = let(T.Cast(f"float32x{lanes}", load(source, (0,), lanes)))
        sums = [register("float32", lanes) for _ in range(_CHAINS)]
        for index, total in enumerate(sums):
            write(total, constant(index, "float32", lanes), lanes)
        with T.serial(0, _STEPS):
            for total in sums:
                write(total, read(total, lanes) * factor + factor, lanes)
        for index, total in enumerate(sums):
            store(result, (index * lanes,), T.reinterpret(f"int32x{lanes}", read(total, lanes)))
    return function.get()


def _tile_loop(target: Target) -> Any:
    with kernel_function("peak") as function:
        source, _, _ = _arguments(simd_of(target))
        sums = [TileShape(ROWS, ROW_BYTES, "int32")] * 4
        operands = [TileShape(ROWS, ROW_BYTES, "uint8")] * 2 + [TileShape(ROWS, ROW_BYTES, "int8")] * 2
        tiles = AmxTiles([*sums, *operands])
        for tile in range(4):
            tiles.zero(tile)
        for tile in range(4, 8):
            tiles.load(tile, source, (0,), (ROW_BYTES,))
        with T.serial(0, _STEPS):
            for index in range(4):
                tiles.dot(index, 4 + index % 2, 6 + index // 2)
        tiles.release()
    return function.get()
