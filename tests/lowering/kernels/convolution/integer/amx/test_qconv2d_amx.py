"""The AMX convolution: its control flow runs here on emulated tiles, its instructions are only compiled."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from plane_harness import NATIVE, run_to_plane, to_plane
from qconv2d_cases import Case, expected, random_numbers

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.amx.blocking import (
    channel_tiles_of,
    choose_blocking,
    pack_amx,
)
from vacc_deploy.lowering.kernels.convolution.integer.amx.kernel import emit_amx
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.epilogue_writer import pack_epilogue
from vacc_deploy.lowering.kernels.convolution.integer.sums import fold_zero_point, pad_channels
from vacc_deploy.lowering.kernels.isa.tile import EmulatedTiles
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.target import TARGETS

CASES = {
    "64_to_64": Case(64, 64, 4, 64, zero_point=128),
    "64_to_64_overlap": Case(64, 64, 3, 41, kernel=(2, 1), pads=(1, 0, 0, 0), zero_point=3),
    "64_to_64_two_overlapping_tiles": Case(64, 64, 3, 21, zero_point=3),
    "64_to_64_narrow": Case(64, 64, 5, 7, zero_point=3),
    "64_to_64_one_pixel": Case(64, 64, 1, 1, zero_point=3),
    "3_to_64": Case(3, 64, 3, 35, zero_point=128),
    "1_to_64": Case(1, 64, 3, 35),
    "64_to_1": Case(64, 1, 3, 70, kernel=(2, 2), pads=(0, 0, 1, 1), zero_point=9),
    "64_to_3_narrow": Case(64, 3, 3, 40, zero_point=9),
    "16_to_16": Case(16, 16, 3, 33, zero_point=9),
    "32_to_65": Case(32, 65, 3, 20, zero_point=128),
    "130_to_128": Case(130, 128, 3, 18, kernel=(1, 3), pads=(0, 1, 0, 1), zero_point=128),
    "512_to_256": Case(512, 256, 2, 5, zero_point=128),
    "1x1": Case(64, 64, 4, 40, kernel=(1, 1), pads=(0, 0, 0, 0), zero_point=77),
    "1x1_16": Case(16, 48, 4, 70, kernel=(1, 1), pads=(0, 0, 0, 0), zero_point=77),
    "5x5": Case(4, 16, 5, 30, kernel=(5, 5), pads=(2, 2, 2, 2), zero_point=128),
    "7x7_stride_2": Case(3, 64, 8, 44, kernel=(7, 7), stride=(2, 2), pads=(3, 3, 3, 3), zero_point=128),
    "stride_2": Case(64, 32, 6, 40, stride=(2, 2), zero_point=128),
    "dilation_2": Case(64, 32, 6, 20, dilation=(2, 2), pads=(2, 2, 2, 2), zero_point=128),
    "batch_2": Case(64, 64, 4, 20, batch=2, zero_point=128),
    "float16": Case(64, 32, 4, 20, dtype="float16", zero_point=128),
    "float16_relu": Case(64, 32, 4, 20, dtype="float16", zero_point=128, epilogue=Epilogue(128, relu=True)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_emulated_tiles_equal_reference(case: Case) -> None:
    numbers, spec = random_numbers(case), case.spec()
    blocking = choose_blocking(spec)
    assert blocking is not None
    channels = channel_tiles_of(spec) * 16
    bias = pad_channels(fold_zero_point(numbers.weights, numbers.bias, case.zero_point), 0, channels)
    params = {
        "weights": pack_amx(spec, blocking, numbers.weights),
        "bias": bias,
        **pack_epilogue(spec, channels, numbers.layer),
    }
    kernel = Kernel(emit_amx(spec, NATIVE, blocking, EmulatedTiles), params)
    got = run_to_plane(kernel, [to_plane(numbers.source, spec.source)], spec.target)
    np.testing.assert_array_equal(got, expected(case, numbers))


@pytest.mark.parametrize("name", ["64_to_64", "3_to_64", "64_to_1", "512_to_256"])
def test_the_amx_target_gets_tile_instructions(name: str) -> None:
    target, case = TARGETS["sapphirerapids"], CASES[name]
    numbers = random_numbers(case)
    kernel = qconv2d.build(case.spec(), target, numbers.layer)
    spec = {"kind": "llvm", "mcpu": target.mcpu, "mattr": list(target.mattr)}
    symbol = str(kernel.func.attrs["global_symbol"])
    module = tvm.tirx.build(tvm.IRModule({symbol: kernel.func}), target=tvm.target.Target(spec))
    assembly = module.inspect_source("asm")
    for instruction in ("ldtilecfg", "tilezero", "tileloadd", "tdpbusd", "tilestored", "tilerelease"):
        assert instruction in assembly


def test_a_window_too_large_for_tiles_takes_another_way() -> None:
    case = Case(64, 16, 9, 20, kernel=(9, 9), pads=(4, 4, 4, 4))
    layer = random_numbers(case).layer
    assert qconv2d.plan("amx", case.spec(), TARGETS["sapphirerapids"], layer) is None


def test_other_targets_get_no_tiles() -> None:
    case = CASES["64_to_64"]
    layer = random_numbers(case).layer
    assert qconv2d.plan("amx", case.spec(), TARGETS["x86-64-v4"], layer) is None
