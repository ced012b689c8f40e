"""Float convolutions and the families beside them give the same bytes with one thread and with two."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KERNELS_DIRECTORY = Path(__file__).parent
NAMES = {"direct", "winograd", "dot", "depthwise", "transpose", "codes", "matmul"}


def test_one_and_two_threads_agree() -> None:
    environment = {**os.environ, "TVM_NUM_THREADS": "2", "PYTHONPATH": str(KERNELS_DIRECTORY)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {name for name, _, _ in lines} == NAMES
    assert all(one == two for _, one, two in lines), done.stdout


def main() -> None:
    import hashlib

    import numpy as np
    import tvm
    from plane_harness import BOTH_SIDES, NATIVE, floats, run, to_plane

    from vacc_deploy.lowering.kernels import hconv2d, hconv_transpose2d, hmatmul, qconv_transpose2d
    from vacc_deploy.lowering.kernels.hconv2d import Hconv2dSpec
    from vacc_deploy.lowering.plane import Halo, Plane

    def plane(channels: int, height: int, width: int, dtype: str = "float16") -> Plane:
        return Plane(1, channels, height, width, dtype, BOTH_SIDES)  # type: ignore[arg-type]

    def filters(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)

    same, odd = {"kernel": (3, 3), "padding": (1, 1)}, (25, 27)
    x, deep = plane(40, *odd), plane(40, *odd, "uint8")
    doubled = plane(33, 50, 54)
    codes_out = plane(33, 50, 54, "uint8")
    vector = Plane(2, 200, 1, 1, "float16", Halo())
    kernels = {
        "direct": (x, hconv2d.build(Hconv2dSpec(x, plane(70, *odd), (1, 1)), NATIVE, filters(70, 40, 1, 1))),
        "winograd": (
            x,
            hconv2d.build(Hconv2dSpec(x, plane(33, *odd), **same), NATIVE, filters(33, 40, 3, 3)),
        ),
        "dot": (x, hconv2d.build(Hconv2dSpec(x, plane(3, *odd), **same), NATIVE, filters(3, 40, 3, 3))),
        "depthwise": (
            x,
            hconv2d.build(Hconv2dSpec(x, x, groups=40, **same), NATIVE, filters(40, 1, 3, 3)),
        ),
        "transpose": (
            x,
            hconv_transpose2d.build(
                hconv_transpose2d.HconvTranspose2dSpec(x, doubled, (4, 4), (2, 2), padding=(1, 1)),
                NATIVE,
                filters(40, 33, 4, 4),
            ),
        ),
        "codes": (
            deep,
            qconv_transpose2d.build(
                qconv_transpose2d.QConvTranspose2dSpec(deep, codes_out, (4, 4), (2, 2), pads=(1, 1)),
                NATIVE,
                (filters(40, 33, 4, 4) * 200).astype(np.int8),
                None,
                np.full(33, 0.01, np.float32),
            ),
        ),
        "matmul": (
            vector,
            hmatmul.build(hmatmul.HmatmulSpec(vector, vector), NATIVE, filters(200, 200)),
        ),
    }
    outputs = {
        "direct": plane(70, *odd),
        "winograd": plane(33, *odd),
        "dot": plane(3, *odd),
        "depthwise": x,
        "transpose": doubled,
        "codes": codes_out,
        "matmul": vector,
    }
    digests: dict[str, list[str]] = {name: [] for name in kernels}
    for threads in (2, 1):
        tvm.get_global_func("runtime.config_threadpool")(1, threads)
        assert int(tvm.get_global_func("runtime.NumThreads")()) == threads
        for name, (source, kernel) in kernels.items():
            values = floats(source) if source.dtype == "float16" else np.zeros(0)
            if source.dtype == "uint8":
                values = np.random.default_rng(1).integers(0, 256, (1, 40, *odd)).astype(np.uint8)
            y = outputs[name]
            result = run(kernel, [to_plane(values, source)], [(y.shape, y.dtype)])[0]
            digests[name].append(hashlib.sha256(result.tobytes()).hexdigest())
    for name, (two, one) in digests.items():
        print(name, one, two)


if __name__ == "__main__":
    main()
