"""Instance normalisation."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.sampling import instance_norm
from vacc_deploy.lowering.plane import Halo, Plane

SHAPES = {"rgb": (2, 3, 5, 33), "odd": (1, 65, 7, 9), "half_block": (1, 20, 16, 7), "one_pixel": (1, 5, 1, 1)}


def normalised(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> np.ndarray:
    wide = x.astype(np.float64)
    mean, variance = wide.mean((2, 3), keepdims=True), wide.var((2, 3), keepdims=True)
    scaled = (wide - mean) / np.sqrt(variance + epsilon)
    return scaled * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1)


@pytest.mark.parametrize("mean", [0.0, 1000.0], ids=["centred", "far_from_zero"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_normalises(shape: tuple[int, ...], mean: float) -> None:
    source = Plane(*shape, "float32", Halo(1, 1, 1, 1))
    output = Plane(*shape, "float32", BOTH_SIDES)
    random = np.random.default_rng(5)
    gamma, beta = random.normal(1, 0.3, shape[1]), random.normal(0, 1, shape[1])
    x = floats(source) + np.float32(mean)
    spec = instance_norm.InstanceNormSpec(source, output, 1e-3)
    kernel = instance_norm.build(spec, NATIVE, gamma.astype(np.float32), beta.astype(np.float32))
    result = run_to_plane(kernel, [to_plane(x, source, junk=9)], output)
    np.testing.assert_allclose(result, normalised(x, gamma, beta, 1e-3), rtol=1e-4, atol=2e-4)


def test_rounds_once_to_half_after_a_fused_relu() -> None:
    source, output = Plane(1, 65, 7, 9, "float16"), Plane(1, 65, 7, 9, "float16", BOTH_SIDES)
    x = floats(source)
    ones, zeros = np.ones(65, np.float32), np.zeros(65, np.float32)
    spec = instance_norm.InstanceNormSpec(source, output, low=0.0)
    result = run_to_plane(instance_norm.build(spec, NATIVE, ones, zeros), [to_plane(x, source)], output)
    expected = np.maximum(normalised(x, ones, zeros, 1e-5), 0)
    np.testing.assert_allclose(result, expected, rtol=6e-4, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 65], ids=["one_slope", "slope_per_channel"])
def test_rounds_once_to_half_after_a_fused_slope(channels: int) -> None:
    source, output = Plane(1, 65, 7, 9, "float16"), Plane(1, 65, 7, 9, "float16", BOTH_SIDES)
    x = floats(source)
    ones, zeros = np.ones(65, np.float32), np.zeros(65, np.float32)
    slope = np.linspace(0.2, 0.4, channels, dtype=np.float32).squeeze()
    spec = instance_norm.InstanceNormSpec(source, output, slope=True)
    result = run_to_plane(
        instance_norm.build(spec, NATIVE, ones, zeros, slope), [to_plane(x, source)], output
    )
    plain = normalised(x, ones, zeros, 1e-5)
    expected = np.where(plain < 0, plain * slope.reshape(1, -1, 1, 1), plain)
    np.testing.assert_allclose(result, expected, rtol=6e-4, atol=1e-6)


def test_refuses_codes() -> None:
    plane = Plane(1, 3, 2, 2, "uint8")
    with pytest.raises(ModelError, match="cannot be normalised"):
        instance_norm.InstanceNormSpec(plane, plane)
