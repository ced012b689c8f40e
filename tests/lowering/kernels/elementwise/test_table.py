"""Unary operators on codes by table."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from plane_harness import BOTH_SIDES, RUNNABLE, codes, run_to_plane, to_plane

from vacc_deploy.cpu import cpu_features
from vacc_deploy.lowering.kernels.elementwise import table
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS, Isa, Target
from vacc_deploy.runtime.reference.table import look_up

SHAPES = {
    "rgb": (1, 3, 5, 33),
    "one": (2, 1, 4, 7),
    "sixteen": (1, 13, 3, 5),
    "half_block": (1, 32, 2, 7),
    "blocks": (2, 130, 3, 5),
}
BYTEWISE = Target(
    "avx512vbmi",
    Isa.VNNI,
    "x86-64-v4",
    ("+avx512vnni", "+avx512vbmi"),
    TARGETS["x86-64-v4"].requires | {"avx512vbmi"},
)
TARGETS_HERE = {name: TARGETS[name] for name in RUNNABLE}
if BYTEWISE.runs_on(cpu_features()):
    TARGETS_HERE[BYTEWISE.name] = BYTEWISE


def some_table() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, 256).astype(np.uint8)


@pytest.mark.parametrize("target", TARGETS_HERE.values(), ids=TARGETS_HERE)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_looks_up_every_code(shape: tuple[int, ...], target: Target) -> None:
    source = Plane(*shape, "uint8", Halo(1, 0, 0, 1), 131)
    output = Plane(*shape, "uint8", BOTH_SIDES, 9)
    q, entries = codes(source), some_table()
    kernel = table.build(table.TableSpec(source, output), target, entries)
    result = run_to_plane(kernel, [to_plane(q, source)], output, target)
    np.testing.assert_array_equal(result, look_up(q, entries))


def test_sapphire_rapids_permutes_bytes() -> None:
    plane = Plane(1, 64, 2, 2, "uint8")
    kernel = table.build(table.TableSpec(plane, plane), TARGETS["sapphirerapids"], some_table())
    target = tvm.target.Target({"kind": "llvm", "mcpu": "sapphirerapids"})
    assembly = tvm.tirx.build(tvm.IRModule({"table": kernel.func}), target=target).inspect_source("asm")
    assert "vpermi2b" in assembly or "vpermt2b" in assembly
