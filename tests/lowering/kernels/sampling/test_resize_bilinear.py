"""Bilinear resize of codes and floats."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.sampling import resize_bilinear
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference import resize as reference

CASES = {
    "twice": (65, (5, 7), (10, 14), "half_pixel"),
    "corners": (3, (5, 7), (9, 13), "align_corners"),
    "asymmetric": (30, (4, 33), (12, 99), "asymmetric"),
    "down": (64, (9, 33), (4, 11), "half_pixel"),
    "torch": (5, (3, 4), (1, 8), "pytorch_half_pixel"),
    "one_column": (5, (4, 1), (8, 7), "half_pixel"),
}
S, S2 = 0.0371, 0.021


def spec_of(case: str, dtype: str) -> resize_bilinear.BilinearSpec:
    channels, size, made, coordinates = CASES[case]
    fills = (131, 100) if dtype == "uint8" else (0, 0)
    source = Plane(2, channels, *size, dtype, Halo(1, 1, 1, 1), fills[0])
    output = Plane(2, channels, *made, dtype, BOTH_SIDES, fills[1])
    scales = (made[0] / size[0], made[1] / size[1])
    return resize_bilinear.BilinearSpec(source, output, scales, coordinates)


def taps_of(spec: resize_bilinear.BilinearSpec) -> tuple[reference.LinearTaps, reference.LinearTaps]:
    x, y = spec.input, spec.output
    return (
        reference.linear_taps(x.height, y.height, spec.scales[0], spec.coordinates),
        reference.linear_taps(x.width, y.width, spec.scales[1], spec.coordinates),
    )


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("case", CASES)
def test_codes(case: str, name: str) -> None:
    spec = spec_of(case, "uint8")
    q = codes(spec.input)
    q[0] = 255  # the largest sums
    expected = reference.resize_bilinear(
        q,
        *taps_of(spec),
        scale=S,
        output_scale=S2,
        zero_point=131,
        output_zero_point=100,
        lo=0,
        hi=255,
    )
    kernel = resize_bilinear.build(spec, TARGETS[name], S, S2)
    result = run_to_plane(kernel, [to_plane(q, spec.input)], spec.output, TARGETS[name])
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("case", CASES)
def test_floats(case: str) -> None:
    spec = spec_of(case, "float16")
    x = floats(spec.input)
    result = run_to_plane(resize_bilinear.build(spec, NATIVE), [to_plane(x, spec.input)], spec.output)
    wide = x.astype(np.float64)
    for axis, (size, made, scale) in enumerate(
        (
            (spec.input.height, spec.output.height, spec.scales[0]),
            (spec.input.width, spec.output.width, spec.scales[1]),
        ),
        start=2,
    ):
        place = np.clip(reference.source_coordinates(size, made, scale, spec.coordinates), 0, size - 1)
        first = np.floor(place).astype(int)
        shape = [1, 1, 1, 1]
        shape[axis] = made
        weight = (place - first).reshape(shape)
        second = np.minimum(first + 1, size - 1)
        wide = np.take(wide, first, axis) * (1 - weight) + np.take(wide, second, axis) * weight
    np.testing.assert_allclose(result, wide, rtol=6e-4, atol=2e-6)


def test_refuses_other_channels() -> None:
    spec = spec_of("twice", "uint8")
    with pytest.raises(ModelError, match="cannot be resized"):
        resize_bilinear.BilinearSpec(spec.input, Plane(2, 3, 10, 14, "uint8"), (2.0, 2.0))
