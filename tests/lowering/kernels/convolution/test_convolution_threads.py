"""Float convolutions and the families beside them give the same bytes with one thread and with two."""

from __future__ import annotations

from plane_harness import digests_by_threads, lines_of_two_threads

NAMES = {"direct", "winograd", "dot", "depthwise", "transpose", "codes", "codes_winograd"}


def test_one_and_two_threads_agree() -> None:
    lines = lines_of_two_threads(__file__)
    assert {name for name, _, _ in lines} == NAMES
    assert all(one == two for _, one, two in lines), lines


def main() -> None:
    from dataclasses import replace

    import numpy as np
    from plane_harness import BOTH_SIDES, NATIVE, floats, to_plane

    from vacc_deploy.lowering.kernels.convolution.floating import hconv2d, hconv_transpose2d
    from vacc_deploy.lowering.kernels.convolution.floating.numbers import HconvNumbers
    from vacc_deploy.lowering.kernels.convolution.floating.spec import Hconv2dSpec, HconvTranspose2dSpec
    from vacc_deploy.lowering.kernels.convolution.integer import qconv_transpose2d
    from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
    from vacc_deploy.lowering.kernels.convolution.integer.spec import QConvTranspose2dSpec
    from vacc_deploy.lowering.kernels.kernel import Kernel
    from vacc_deploy.lowering.kernels.window import Window
    from vacc_deploy.lowering.plane import Plane

    def plane(channels: int, height: int, width: int, dtype: str = "float16") -> Plane:
        return Plane(1, channels, height, width, dtype, BOTH_SIDES)  # type: ignore[arg-type]

    def filters(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)

    odd = (25, 27)
    x, deep = plane(40, *odd), plane(40, *odd, "uint8")

    def convolution(channels: int, size: int, groups: int = 1) -> Kernel:
        window = Window((size, size), padding=(size // 2, size // 2))
        spec = Hconv2dSpec(x, plane(channels, *odd), window, groups)
        return hconv2d.build(spec, NATIVE, HconvNumbers(filters(channels, 40 // groups, size, size)))

    doubled, codes_out = plane(33, 50, 54), plane(33, 50, 54, "uint8")
    doubling = Window((4, 4), (2, 2), padding=(1, 1))
    transposed = HconvTranspose2dSpec(x, doubled, doubling)
    of_codes = QConvTranspose2dSpec(deep, codes_out, doubling)
    of_3x3_out = plane(33, 51, 55, "uint8")
    of_3x3 = QConvTranspose2dSpec(deep, of_3x3_out, Window((3, 3), (2, 2)))
    integers = (filters(40, 33, 4, 4) * 200).astype(np.int8)
    numbers = QConvNumbers(integers, np.zeros(33, np.int32), np.full(33, 0.01, np.float32))
    numbers_3x3 = replace(numbers, weights=integers[:, :, :3, :3])
    kernels = {
        "direct": (x, convolution(70, 1)),
        "winograd": (x, convolution(33, 3)),
        "dot": (x, convolution(3, 3)),
        "depthwise": (x, convolution(40, 3, 40)),
        "transpose": (x, hconv_transpose2d.build(transposed, NATIVE, HconvNumbers(filters(40, 33, 4, 4)))),
        "codes": (deep, qconv_transpose2d.build(of_codes, NATIVE, numbers)),
        "codes_winograd": (deep, qconv_transpose2d.build(of_3x3, NATIVE, numbers_3x3)),
    }
    outputs = {
        "direct": plane(70, *odd),
        "winograd": plane(33, *odd),
        "dot": plane(3, *odd),
        "depthwise": x,
        "transpose": doubled,
        "codes": codes_out,
        "codes_winograd": of_3x3_out,
    }
    for name, (source, kernel) in kernels.items():
        values = floats(source) if source.dtype == "float16" else np.zeros(0)
        if source.dtype == "uint8":
            values = np.random.default_rng(1).integers(0, 256, (1, 40, *odd)).astype(np.uint8)
        y = outputs[name]
        print(name, *digests_by_threads(kernel, [to_plane(values, source)], [(y.shape, y.dtype)]))


if __name__ == "__main__":
    main()
