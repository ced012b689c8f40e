"""Plain tensors into planes and back."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.movement import pack, unpack
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS

SHAPES = {
    "rgb": (1, 3, 5, 33),
    "one": (2, 1, 4, 7),
    "narrow": (1, 5, 3, 1),
    "half_block": (1, 32, 2, 20),
    "block": (1, 64, 4, 16),
    "two_blocks": (1, 65, 3, 7),
    "wide": (2, 130, 2, 70),
    "pixel": (1, 64, 1, 1),
}
FLOATS = {
    "single_as_half": ("float32", "float16", BOTH_SIDES),
    "half_as_half": ("float16", "float16", Halo()),
    "half_as_single": ("float16", "float32", BOTH_SIDES),
}
SCALE = np.float32(0.0371)


def quantize(x: np.ndarray, scale: np.float32, zero_point: int) -> np.ndarray:
    steps = np.rint(x.astype(np.float32) / scale) + zero_point
    return np.clip(steps, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("dtype", "halo"), [("float32", Halo()), ("float16", BOTH_SIDES)], ids=["f32", "f16"]
)
def test_quantises_like_quantize_linear(shape: tuple[int, ...], dtype: str, halo: Halo) -> None:
    plane = Plane(*shape, "uint8", halo, fill=131)
    x = np.random.default_rng(0).normal(0, 3, shape).astype(dtype)
    x.flat[: min(3, x.size)] = (1e9, -65000, 1.5 * SCALE)[: min(3, x.size)] if dtype == "float32" else 9
    kernel = pack.build(pack.PackSpec(plane, dtype), NATIVE, SCALE)
    np.testing.assert_array_equal(run_to_plane(kernel, [x], plane), quantize(x, SCALE, 131))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("dtype", "stored", "halo"), FLOATS.values(), ids=FLOATS)
def test_float_round_trip(shape: tuple[int, ...], dtype: str, stored: str, halo: Halo) -> None:
    plane = Plane(*shape, stored, halo)
    x = np.random.default_rng(0).normal(0, 3, shape).astype(dtype)
    packed = run_to_plane(pack.build(pack.PackSpec(plane, dtype), NATIVE), [x], plane)
    np.testing.assert_array_equal(packed, x.astype(stored))
    kernel = unpack.build(unpack.UnpackSpec(plane, dtype), NATIVE)
    (plain,) = run(kernel, [to_plane(packed, plane, junk=9)], [(shape, dtype)])
    np.testing.assert_array_equal(plain, packed.astype(dtype))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", ["float16"])
def test_dequantises(shape: tuple[int, ...], dtype: str) -> None:
    plane = Plane(*shape, "uint8", BOTH_SIDES, fill=7)
    q = codes(plane)
    kernel = unpack.build(unpack.UnpackSpec(plane, dtype), NATIVE, SCALE)
    (plain,) = run(kernel, [to_plane(q, plane, junk=200)], [(shape, dtype)])
    np.testing.assert_array_equal(plain, ((q.astype(np.int32) - 7).astype(np.float32) * SCALE).astype(dtype))


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_target_gives_the_same_bytes(name: str) -> None:
    plane = Plane(1, 70, 2, 37, "uint8", BOTH_SIDES, fill=100)
    half = Plane(1, 70, 2, 37, "float16")
    target = TARGETS[name]
    x = floats(Plane(1, 70, 2, 37, "float32"))
    x.flat[:4] = (6.1e-5, 5.9e-8, 3.1e-8, 70000.0)  # float16: normal, subnormal, tie to even, overflow
    q = run_to_plane(pack.build(pack.PackSpec(plane), target, SCALE), [x], plane, target)
    np.testing.assert_array_equal(q, quantize(x, SCALE, 100))
    with np.errstate(over="ignore"):
        h = run_to_plane(pack.build(pack.PackSpec(half), target), [x], half, target)
        np.testing.assert_array_equal(h, x.astype(np.float16))
    back = run(
        unpack.build(unpack.UnpackSpec(half), target), [to_plane(h, half)], [(x.shape, "float32")], target
    )
    np.testing.assert_array_equal(back[0], h.astype(np.float32))


def test_ties_and_infinities() -> None:
    plane = Plane(1, 8, 1, 64, "uint8", fill=128)
    x = ((np.arange(512) - 256) / 4).astype(np.float32).reshape(1, 8, 1, 64)  # every other one is a tie
    x.flat[0], x.flat[-1] = -np.inf, np.inf
    kernel = pack.build(pack.PackSpec(plane), NATIVE, 0.5)
    np.testing.assert_array_equal(run_to_plane(kernel, [x], plane), quantize(x, np.float32(0.5), 128))


def test_a_vector_is_a_picture_of_one_pixel() -> None:
    plane = Plane(2, 70, 1, 1, "float16", BOTH_SIDES)
    x = np.random.default_rng(0).normal(0, 3, (2, 70)).astype(np.float16)
    kernel = pack.build(pack.PackSpec(plane, "float16", (2, 70)), NATIVE)
    np.testing.assert_array_equal(run_to_plane(kernel, [x], plane)[:, :, 0, 0], x)
    kernel = unpack.build(unpack.UnpackSpec(plane, "float16", (2, 70)), NATIVE)
    packed = to_plane(x.reshape(2, 70, 1, 1), plane)
    np.testing.assert_array_equal(run(kernel, [packed], [((2, 70), "float16")])[0], x)
    with pytest.raises(ModelError, match="does not hold"):
        pack.build(pack.PackSpec(plane, "float16", (2, 71)), NATIVE)
