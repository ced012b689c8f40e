"""Conversions between float16 and float32 are exact, and rounded half to even, on every target."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from plane_harness import RUNNABLE, run
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.kernels.isa.function import argument, kernel_function
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import TARGETS, Target

HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)


def converted(values: np.ndarray, dtype: str, target: Target) -> np.ndarray:
    simd = float_simd_of(target)
    with kernel_function("convert") as function:
        source = argument("source", values.shape, str(values.dtype))
        result = argument("result", values.shape, dtype)
        with T.serial(0, values.size // simd.lanes) as i:
            simd.store(result, (i * simd.lanes,), simd.load(source, (i * simd.lanes,), simd.lanes))
    return run(Kernel(function.get()), [values], [(values.shape, dtype)], target)[0]


def between_halves() -> np.ndarray:
    """Every finite float16, the middles between neighbours, and float32 values just beside the middles."""
    positive = HALVES[:0x7C00].astype(np.float32)
    middles = (positive[1:] + positive[:-1]) / 2
    below, above = np.nextafter(middles, np.float32(0)), np.nextafter(middles, np.float32(np.inf))
    special = np.array([65504, 65519.996, 65520, 65536, 1e9, 3e38, 1e-8, 1e-40, np.inf, np.nan], np.float32)
    values = np.concatenate([positive, middles, below, above, special])
    values = np.concatenate([values, -values])
    return np.resize(values, -(-values.size // 16) * 16)


@pytest.mark.parametrize("target", RUNNABLE)
def test_widening_is_exact_for_every_float16(target: str) -> None:
    np.testing.assert_array_equal(converted(HALVES, "float32", TARGETS[target]), HALVES.astype(np.float32))


@pytest.mark.parametrize("target", RUNNABLE)
def test_narrowing_rounds_half_to_even(target: str) -> None:
    values = between_halves()
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    got = converted(values, "float16", TARGETS[target])
    np.testing.assert_array_equal(got, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


def test_the_baseline_target_calls_no_conversion_routine() -> None:
    target = TARGETS["generic"]
    simd = float_simd_of(target)
    with kernel_function("convert") as function:
        source, result = argument("source", (64,), "float16"), argument("result", (64,), "float16")
        with T.serial(0, 64 // simd.lanes) as i:
            simd.store(result, (i * simd.lanes,), simd.load(source, (i * simd.lanes,), simd.lanes))
    built = tvm.tirx.build(
        tvm.IRModule({"convert": function.get()}),
        target=tvm.target.Target({"kind": "llvm", "mcpu": target.mcpu}),
    )
    calls = [line for line in built.inspect_source("asm").splitlines() if "call" in line]
    assert not [line for line in calls if "hfsf" in line or "sfhf" in line]
