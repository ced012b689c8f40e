"""Kernels over planes give the same bytes with one thread and with two."""

from __future__ import annotations

from plane_harness import digests_by_threads, lines_of_two_threads


def test_one_and_two_threads_agree() -> None:
    lines = lines_of_two_threads(__file__)
    assert len(lines) >= 10
    assert all(one == two for _, one, two in lines), lines


def main() -> None:
    import numpy as np
    from plane_harness import BOTH_SIDES, NATIVE

    from vacc_deploy.lowering.kernels.elementwise import add, mul, prelu, table, unary
    from vacc_deploy.lowering.kernels.elementwise.binary import Scales
    from vacc_deploy.lowering.kernels.movement import (
        channels,
        gather_pixels,
        pack,
        pixel_shuffle,
        recode,
        unpack,
    )
    from vacc_deploy.lowering.kernels.sampling import global_pool, instance_norm, pool, resize_bilinear
    from vacc_deploy.lowering.plane import Plane

    c, h, w = 70, 13, 21
    q = Plane(2, c, h, w, "uint8", BOTH_SIDES, 128)
    f = Plane(2, c, h, w, "float16", BOTH_SIDES)
    large_q = Plane(2, c, 2 * h, 2 * w, "uint8", BOTH_SIDES, 128)
    small_f = Plane(2, c, 6, 10, "float16", BOTH_SIDES)
    deep = Plane(2, 4 * c, h, w, "uint8", BOTH_SIDES, 128)
    pixel = Plane(2, c, 1, 1, "float16")
    plain = (2, c, h, w)
    scales = Scales(0.02, 0.03, 0.04)
    ones = np.ones(c, np.float32)
    entries = np.arange(256, dtype=np.uint8)[::-1].copy()
    cases = {
        "pack": (pack.build(pack.PackSpec(q), NATIVE, 0.02), [(plain, "float32")], q),
        "unpack": (unpack.build(unpack.UnpackSpec(f), NATIVE), [f], (plain, "float32")),
        "add": (add.build(add.AddSpec(q, q, q), NATIVE, scales=scales), [q, q], q),
        "mul": (mul.build(mul.MulSpec(f, pixel, f), NATIVE), [f, pixel], f),
        "table": (table.build(table.TableSpec(q, q), NATIVE, entries), [q], q),
        "recode": (recode.build(recode.RecodeSpec(f, q), NATIVE, None, 0.02), [f], q),
        "unary": (unary.build(unary.UnarySpec(f, f, "Tanh"), NATIVE), [f], f),
        "prelu": (prelu.build(prelu.PReluSpec(q, q), NATIVE, ones / 3, 0.02, 0.03), [q], q),
        "channels": (channels.build(channels.concat([q] * 4, deep), NATIVE), [q] * 4, deep),
        "shuffle": (
            pixel_shuffle.build(pixel_shuffle.PixelShuffleSpec(deep, large_q, 2), NATIVE),
            [deep],
            large_q,
        ),
        "gather": (gather_pixels.build(gather_pixels.nearest(q, large_q, (2, 2)), NATIVE), [q], large_q),
        "bilinear": (
            resize_bilinear.build(resize_bilinear.BilinearSpec(q, large_q, (2, 2)), NATIVE, 0.02, 0.03),
            [q],
            large_q,
        ),
        "pool": (pool.build(pool.PoolSpec(f, small_f, "average", (2, 2), (2, 2)), NATIVE), [f], small_f),
        "global": (global_pool.build(global_pool.GlobalPoolSpec(f, pixel), NATIVE), [f], pixel),
        "norm": (
            instance_norm.build(instance_norm.InstanceNormSpec(f, f), NATIVE, ones, ones),
            [f],
            f,
        ),
    }
    random = np.random.default_rng(0)
    for name, (kernel, inputs, output) in cases.items():
        kinds = [(i.shape, i.dtype) if isinstance(i, Plane) else i for i in (*inputs, output)]
        arrays = [
            random.integers(0, 256, shape).astype(dtype)
            if dtype == "uint8"
            else random.normal(0, 2, shape).astype(dtype)
            for shape, dtype in kinds[:-1]
        ]
        print(name, *digests_by_threads(kernel, arrays, [kinds[-1]]))


if __name__ == "__main__":
    main()
