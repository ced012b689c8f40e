"""Nearest resize, padding, cropping."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.movement import gather_pixels
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.runtime.reference.pad import pad as reference_pad
from vacc_deploy.runtime.reference.resize import nearest_indices, resize_nearest

CHANNELS = {"rgb": 3, "odd": 65, "half_block": 30}


def plane(channels: int, height: int, width: int, dtype: str = "uint8", halo: Halo = BOTH_SIDES) -> Plane:
    return Plane(2, channels, height, width, dtype, halo, 131 if dtype == "uint8" else 0)


RESIZES = {
    "twice": ((5, 7), (10, 14), "asymmetric", "floor"),
    "thrice_half_pixel": ((5, 7), (15, 21), "half_pixel", "round_prefer_floor"),
    "down": ((9, 33), (4, 11), "half_pixel", "round_prefer_ceil"),
    "odd_factor": ((5, 7), (8, 9), "asymmetric", "ceil"),
    "corners": ((5, 7), (9, 3), "align_corners", "round_prefer_floor"),
    "same": ((5, 7), (5, 7), "half_pixel", "round_prefer_floor"),
}


@pytest.mark.parametrize("case", RESIZES)
@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
def test_resizes_to_the_nearest(channels: int, case: str) -> None:
    (h, w), (oh, ow), coordinates, mode = RESIZES[case]
    source, output = plane(channels, h, w, halo=Halo(1, 1, 1, 1)), plane(channels, oh, ow)
    q = codes(source)
    spec = gather_pixels.nearest(source, output, (oh / h, ow / w), coordinates, mode)
    result = run_to_plane(gather_pixels.build(spec, NATIVE), [to_plane(q, source)], output)
    rows = nearest_indices(h, oh, oh / h, coordinates, mode)
    np.testing.assert_array_equal(
        result, resize_nearest(q, rows, nearest_indices(w, ow, ow / w, coordinates, mode))
    )


PADS = {"both": (2, 3, 1, 4), "top": (3, 0, 0, 0), "crop": (-1, -2, -1, 0), "mixed": (2, -1, -2, 3)}


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
@pytest.mark.parametrize("case", PADS)
@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
def test_pads(channels: int, case: str, mode: str) -> None:
    top, left, bottom, right = PADS[case]
    source = plane(channels, 5, 8, halo=Halo(1, 1, 1, 1))
    output = plane(channels, 5 + top + bottom, 8 + left + right)
    q = codes(source)
    expected = reference_pad(q, [0, 0, top, left, 0, 0, bottom, right], mode=mode, fill=77)
    spec = gather_pixels.pad(source, output, top, left, mode, 77)
    result = run_to_plane(gather_pixels.build(spec, NATIVE), [to_plane(q, source)], output)
    np.testing.assert_array_equal(result, expected)


def test_pads_zero_with_its_code_and_floats_with_a_real() -> None:
    source, output = plane(3, 2, 2), plane(3, 4, 4)
    q = codes(source)
    spec = gather_pixels.pad(source, output, 1, 1)
    result = run_to_plane(gather_pixels.build(spec, NATIVE), [to_plane(q, source)], output)
    np.testing.assert_array_equal(result, np.pad(q, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=131))
    source, output = plane(65, 2, 2, "float16"), plane(65, 4, 4, "float16")
    x = floats(source)
    spec = gather_pixels.pad(source, output, 1, 1, value=-2.5)
    result = run_to_plane(gather_pixels.build(spec, NATIVE), [to_plane(x, source)], output)
    np.testing.assert_array_equal(result, np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-2.5))


def test_crops_with_steps_and_flips() -> None:
    source, output = plane(65, 7, 9), plane(65, 3, 9)
    q = codes(source)
    rows, columns = range(1, 7, 2), range(8, -1, -1)
    spec = gather_pixels.crop(source, output, rows, columns)
    result = run_to_plane(gather_pixels.build(spec, NATIVE), [to_plane(q, source)], output)
    np.testing.assert_array_equal(result, q[:, :, 1:7:2, ::-1])


def test_zero_points_and_constants_are_parameters_of_one_function() -> None:
    source, output = plane(3, 2, 2), plane(3, 4, 4)
    others = [replace(each, fill=7) for each in (source, output)]
    specs = [gather_pixels.pad(source, output, 1, 1), gather_pixels.pad(others[0], others[1], 1, 1, value=9)]
    first, second = (gather_pixels.build(spec, NATIVE).func for spec in specs)
    assert first is second


def test_refuses_indices_outside_the_picture() -> None:
    with pytest.raises(ModelError, match="cannot be gathered"):
        gather_pixels.crop(plane(3, 2, 2), plane(3, 1, 1), [2], [0])
