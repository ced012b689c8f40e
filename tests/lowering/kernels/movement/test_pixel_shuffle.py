"""Depth to space and back."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.movement import pixel_shuffle
from vacc_deploy.lowering.kernels.movement.pixel_shuffle import PixelShuffleSpec, SpaceToDepthSpec
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.runtime.reference import pixel_shuffle as reference

# N, C of the wide picture, H and W of the deep one, factor.
CASES = {
    "to_rgb_2": (1, 3, 3, 7, 2),
    "to_rgb_4": (1, 3, 2, 3, 4),
    "one_3": (2, 1, 3, 5, 3),
    "blocks_2": (1, 128, 2, 3, 2),
    "block_2": (2, 64, 2, 3, 2),
    "block_3": (1, 64, 2, 3, 3),
    "half_2": (1, 32, 2, 5, 2),
    "odd_2": (1, 65, 2, 3, 2),
}


def planes(case: str, dtype: str) -> tuple[Plane, Plane]:
    n, c, h, w, r = CASES[case]
    fill = 131 if dtype == "uint8" else 0
    deep = Plane(n, c * r * r, h, w, dtype, Halo(1, 1, 1, 1), fill)
    return deep, Plane(n, c, h * r, w * r, dtype, BOTH_SIDES, fill)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("case", CASES)
def test_depth_to_space(case: str, mode: str) -> None:
    deep, wide = planes(case, "uint8")
    q = codes(deep)
    kernel = pixel_shuffle.build(PixelShuffleSpec(deep, wide, CASES[case][4], mode), NATIVE)
    expected = reference.pixel_shuffle(q, CASES[case][4], mode)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(q, deep)], wide), expected)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("case", ["to_rgb_2", "block_2", "odd_2"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_depth_to_space_of_floats(case: str, mode: str, dtype: str) -> None:
    deep, wide = planes(case, dtype)
    x = floats(deep)
    kernel = pixel_shuffle.build(PixelShuffleSpec(deep, wide, 2, mode), NATIVE)
    expected = reference.pixel_shuffle(x, 2, mode)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(x, deep)], wide), expected)


@pytest.mark.parametrize("case", CASES)
def test_space_to_depth(case: str) -> None:
    deep, wide = planes(case, "uint8")
    q = codes(wide)
    kernel = pixel_shuffle.build(SpaceToDepthSpec(wide, deep, CASES[case][4]), NATIVE)
    expected = reference.pixel_unshuffle(q, CASES[case][4])
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(q, wide)], deep), expected)


def test_refuses_shapes_that_do_not_belong_together() -> None:
    deep, wide = planes("to_rgb_2", "uint8")
    with pytest.raises(ModelError, match="factor of 3"):
        PixelShuffleSpec(deep, wide, 3)
