"""How a float Winograd convolution is cut into groups of tiles."""

from __future__ import annotations

import pytest

from vacc_deploy.lowering.kernels.convolution.floating.winograd.blocking import cut
from vacc_deploy.lowering.kernels.convolution.floating.winograd.transforms import THREE_TAPS
from vacc_deploy.lowering.kernels.isa.float_simd import float_simd_of
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import TARGETS

AVX2 = float_simd_of(TARGETS["x86-64-v3"])  # 6 tiles per register block
SIZES = {  # channels, side of the picture, groups, tiles of each
    "filters_in_cache": (64, 256, 228, 18),
    "far_filters": (1024, 64, 2, 132),
    "far_filters_in_even_groups": (512, 96, 4, 144),
    "a_group_for_each_thread": (1024, 32, 2, 36),
    "few": (1024, 16, 2, 12),
}


@pytest.mark.parametrize(("channels", "side", "groups", "tiles"), SIZES.values(), ids=SIZES.keys())
def test_groups_of_tiles_overlap_little(channels: int, side: int, groups: int, tiles: int) -> None:
    x, y = Plane(1, channels, side, side, "float16"), Plane(1, channels // 2, side, side, "float16")
    blocking = cut(THREE_TAPS, AVX2, x, y, y.size)
    assert (-(-blocking.count // blocking.per_group), blocking.per_group) == (groups, tiles)
    # Less than a register block for each group is computed twice.
    assert 0 <= groups * tiles - blocking.count < groups * blocking.tiles
