"""Pooling over windows and over whole pictures."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.sampling import global_pool, pool
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime.reference import pool as reference

S, S2 = 0.0371, 0.021

# Channels, size, then the window.
WINDOWS = {
    "two": (65, (6, 8), {"kernel": (2, 2), "strides": (2, 2)}),
    "three_padded": (3, (7, 9), {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)}),
    "uneven": (64, (7, 5), {"kernel": (3, 2), "strides": (1, 2), "pads": (0, 1, 2, 0)}),
    "ceil": (30, (7, 7), {"kernel": (3, 3), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": True}),
    "ceil_padded": (
        5,
        (8, 6),
        {"kernel": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1), "ceil_mode": True},
    ),
    "large": (5, (20, 20), {"kernel": (17, 17), "strides": (1, 1), "pads": (8, 8, 8, 8)}),
    "narrow": (5, (9, 1), {"kernel": (3, 1), "strides": (3, 1)}),
}


def planes(case: str, dtype: str) -> tuple[Plane, Plane, dict]:
    channels, size, window = WINDOWS[case]
    window = {"pads": (0, 0, 0, 0), **window}
    ceil_mode = window.get("ceil_mode", False)
    pads = window["pads"]
    height, width = (
        reference.pooled_size(
            size[i], window["kernel"][i], window["strides"][i], 1, (pads[i], pads[i + 2]), ceil_mode
        )
        for i in range(2)
    )
    fill = 131 if dtype == "uint8" else 0
    source = Plane(2, channels, *size, dtype, Halo(1, 1, 1, 1), fill)
    return source, Plane(2, channels, height, width, dtype, BOTH_SIDES, fill), window


def spec_of(case: str, kind: str, dtype: str) -> tuple[pool.PoolSpec, dict]:
    source, output, window = planes(case, dtype)
    geometry = {key: value for key, value in window.items() if key != "ceil_mode"}
    return pool.PoolSpec(source, output, kind, **geometry), window


@pytest.mark.parametrize("case", WINDOWS)
def test_max_of_codes(case: str) -> None:
    spec, window = spec_of(case, "max", "uint8")
    q = codes(spec.input)
    result = run_to_plane(pool.build(spec, NATIVE), [to_plane(q, spec.input, junk=255)], spec.output)
    np.testing.assert_array_equal(result, reference.max_pool2d(q, **window))


@pytest.mark.parametrize("include", [False, True], ids=["inside", "include_pad"])
@pytest.mark.parametrize("case", WINDOWS)
def test_average_of_codes(case: str, include: bool) -> None:
    spec, window = spec_of(case, "average", "uint8")
    q = codes(spec.input)
    ceil_mode = window.pop("ceil_mode", False)
    kernel = pool.build(
        spec, NATIVE, count_include_pad=include, ceil_mode=ceil_mode, input_scale=S, output_scale=S2
    )
    expected = reference.average_pool2d(
        q,
        **window,
        ceil_mode=ceil_mode,
        scale=S,
        output_scale=S2,
        zero_point=131,
        output_zero_point=131,
        count_include_pad=include,
        lo=0,
        hi=255,
    )
    result = run_to_plane(kernel, [to_plane(q, spec.input, junk=255)], spec.output)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("case", ["two", "three_padded", "ceil"])
def test_floats(case: str, kind: str) -> None:
    spec, window = spec_of(case, kind, "float16")
    x = floats(spec.input)
    window.setdefault("ceil_mode", False)
    taps = list(
        reference._taps(
            x.astype(np.float64),
            -np.inf if kind == "max" else 0,
            window["kernel"],
            window["strides"],
            window["pads"],
            (1, 1),
            window["ceil_mode"],
        )
    )
    kernel = pool.build(spec, NATIVE, ceil_mode=window["ceil_mode"])
    result = run_to_plane(kernel, [to_plane(x, spec.input, junk=50)], spec.output)
    if kind == "max":
        np.testing.assert_array_equal(result, np.max(taps, axis=0).astype(np.float16))
        return
    counts = reference.average_counts(
        (spec.input.height, spec.input.width),
        window["kernel"],
        window["strides"],
        window["pads"],
        count_include_pad=False,
        ceil_mode=window["ceil_mode"],
    )
    np.testing.assert_allclose(result, sum(taps) / counts, rtol=6e-4, atol=1e-6)


def test_dilated_max() -> None:
    source, output = Plane(1, 5, 9, 9, "uint8"), Plane(1, 5, 5, 3, "uint8", BOTH_SIDES)
    window = {"kernel": (3, 3), "strides": (1, 2), "pads": (0, 0, 0, 0), "dilations": (2, 2)}
    q = codes(source)
    result = run_to_plane(
        pool.build(pool.PoolSpec(source, output, "max", **window), NATIVE), [to_plane(q, source)], output
    )
    np.testing.assert_array_equal(result, reference.max_pool2d(q, **window))


GLOBALS = {"rgb": (2, 3, 5, 7), "odd": (1, 65, 33, 5), "one_pixel": (1, 130, 1, 1), "tall": (2, 64, 50, 3)}


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("shape", GLOBALS.values(), ids=GLOBALS)
def test_global_pool_of_codes(shape: tuple[int, ...], kind: str) -> None:
    source = Plane(*shape, "uint8", Halo(1, 1, 1, 1), 131)
    output = Plane(*shape[:2], 1, 1, "uint8", BOTH_SIDES, 131)
    q = codes(source)
    q[0] = 255  # all of one sign: the largest sums
    spec = global_pool.GlobalPoolSpec(source, output, kind)
    kernel = global_pool.build(spec, NATIVE, S, S2)
    expected = q.max(axis=(2, 3), keepdims=True)
    if kind == "average":
        expected = reference.average_pool2d(
            q, shape[2:], scale=S, output_scale=S2, zero_point=131, output_zero_point=131, lo=0, hi=255
        )
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(q, source)], output), expected)


@pytest.mark.parametrize("name", RUNNABLE)
def test_global_pool_of_floats(name: str) -> None:
    source = Plane(2, 65, 33, 20, "float16", Halo(1, 1, 1, 1))
    output = Plane(2, 65, 1, 1, "float16", BOTH_SIDES)
    x = floats(source)
    target = TARGETS[name]
    for kind, expected in (("max", x.max(axis=(2, 3))), ("average", x.astype(np.float64).mean(axis=(2, 3)))):
        kernel = global_pool.build(global_pool.GlobalPoolSpec(source, output, kind), target)
        result = run_to_plane(kernel, [to_plane(x, source)], output, target)
        np.testing.assert_array_equal(result, expected.astype(np.float16)[:, :, None, None])


def test_refuses_windows_outside_the_picture() -> None:
    source, output = Plane(1, 5, 4, 4, "uint8"), Plane(1, 5, 3, 3, "uint8")
    with pytest.raises(ModelError, match="outside the picture"):
        pool.PoolSpec(source, output, "max", (2, 2), (2, 2))
