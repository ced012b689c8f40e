"""One function serves every tensor of a shape: zero points, limits and scales are its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from plane_harness import NATIVE

from vacc_deploy.lowering.kernels.codes import pack_codes
from vacc_deploy.lowering.kernels.elementwise import add, mul, prelu, table
from vacc_deploy.lowering.kernels.elementwise.binary import Scales
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import channels, gather_pixels, pack, pixel_shuffle, recode, unpack
from vacc_deploy.lowering.kernels.sampling import global_pool, pool, resize_bilinear
from vacc_deploy.lowering.plane import Halo, Plane


@dataclass(frozen=True)
class Numbers:
    """What may differ between two tensors without another function."""

    x: int
    y: int
    low: float
    scale: float

    def plane(self, fill: int, channels: int = 8, side: int = 6) -> Plane:
        return Plane(1, channels, side, side, "uint8", Halo(1, 1, 1, 1), fill)

    @property
    def planes(self) -> tuple[Plane, Plane]:
        return self.plane(self.x), self.plane(self.y)


def _add(n: Numbers) -> Kernel:
    x, y = n.planes
    return add.build(add.AddSpec(x, x, y, low=n.low), NATIVE, scales=Scales(n.scale, 0.1, 0.1))


def _mul(n: Numbers) -> Kernel:
    x, y = n.planes
    return mul.build(mul.MulSpec(x, x, y, low=n.low), NATIVE, scales=Scales(n.scale, 0.1, 0.1))


def _prelu(n: Numbers) -> Kernel:
    return prelu.build(prelu.PReluSpec(*n.planes), NATIVE, np.ones(8, np.float32), n.scale, 0.1)


def _table(n: Numbers) -> Kernel:
    return table.build(table.TableSpec(*n.planes), NATIVE, np.full(256, n.x, np.uint8))


def _average(n: Numbers) -> Kernel:
    spec = pool.PoolSpec(n.plane(n.x), n.plane(n.y, side=3), "average", (2, 2), (2, 2), low=n.low)
    return pool.build(spec, NATIVE, input_scale=n.scale, output_scale=0.1)


def _maximum(n: Numbers) -> Kernel:
    spec = pool.PoolSpec(n.plane(n.x), n.plane(n.x, side=3), "max", (2, 2), (2, 2), low=n.low)
    return pool.build(spec, NATIVE)


def _global_average(n: Numbers) -> Kernel:
    spec = global_pool.GlobalPoolSpec(n.plane(n.x), n.plane(n.y, side=1), low=n.low)
    return global_pool.build(spec, NATIVE, n.scale, 0.1)


def _bilinear(n: Numbers) -> Kernel:
    spec = resize_bilinear.BilinearSpec(n.plane(n.x), n.plane(n.y, side=12), (2.0, 2.0), low=n.low)
    return resize_bilinear.build(spec, NATIVE, n.scale, 0.1)


def _pad(n: Numbers) -> Kernel:
    return gather_pixels.build(gather_pixels.pad(n.plane(n.x), n.plane(n.x, side=8), 1, 1), NATIVE)


def _concat(n: Numbers) -> Kernel:
    spec = channels.concat(n.planes, n.plane(n.y, channels=16), (True, False))
    return channels.build(spec, NATIVE, {0: np.full(256, n.x, np.uint8)})


def _shuffle(n: Numbers) -> Kernel:
    spec = pixel_shuffle.PixelShuffleSpec(n.plane(n.x), n.plane(n.x, channels=2, side=12), 2)
    return pixel_shuffle.build(spec, NATIVE)


def _depth(n: Numbers) -> Kernel:
    spec = pixel_shuffle.SpaceToDepthSpec(n.plane(n.x), n.plane(n.x, channels=32, side=3), 2)
    return pixel_shuffle.build(spec, NATIVE)


def _quantize(n: Numbers) -> Kernel:
    return pack.build(pack.PackSpec(n.plane(n.y)), NATIVE, n.scale)


def _dequantize(n: Numbers) -> Kernel:
    return unpack.build(unpack.UnpackSpec(n.plane(n.x)), NATIVE, n.scale)


def _recode(n: Numbers) -> Kernel:
    return recode.build(recode.RecodeSpec(*n.planes), NATIVE, n.scale, 0.1)


BUILDERS: dict[str, Callable[[Numbers], Kernel]] = {
    build.__name__.strip("_"): build
    for build in (
        _add, _mul, _prelu, _table, _average, _maximum, _global_average,
        _bilinear, _pad, _concat, _shuffle, _depth, _quantize, _dequantize, _recode,
    )
}  # fmt: skip


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_numbers_are_no_reason_for_another_function(build: Callable[[Numbers], Kernel]) -> None:
    one, other = build(Numbers(x=3, y=77, low=0, scale=0.05)), build(Numbers(x=128, y=1, low=9, scale=0.3))
    assert one.func is other.func
    assert list(one.params) == list(other.params)
    assert any(not np.array_equal(one.params[name], other.params[name]) for name in one.params)


def test_floats_have_no_numbers() -> None:
    real = Plane(1, 8, 6, 6, "float16")
    assert pack_codes(real, real) == {}
    assert list(pack_codes(real, Plane(1, 8, 6, 6, "uint8", fill=7), low=9)["codes"]) == [7, 9, 255]


def test_limits_of_floats_stay_part_of_the_code() -> None:
    real = Plane(1, 8, 6, 6, "float16")
    clipped = add.build(add.AddSpec(real, real, real, low=0.0), NATIVE)
    assert clipped.func is not add.build(add.AddSpec(real, real, real), NATIVE).func
