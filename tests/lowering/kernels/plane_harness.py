"""Runs a kernel on NumPy arrays and checks the halo and unused channels that it must write."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS, Target, resolve_target

# Another target can be tested as a whole: VDEPLOY_TEST_TARGET=generic pytest tests/lowering/kernels
NATIVE = resolve_target(os.environ.get("VDEPLOY_TEST_TARGET", "native"))
RUNNABLE = [name for name, target in TARGETS.items() if target.runs_on(NATIVE.requires)]
BOTH_SIDES = Halo(1, 2, 3, 1)


def to_plane(array: np.ndarray, plane: Plane, *, junk: int | None = None) -> np.ndarray:
    """NCHW → the plane's memory. `junk` fills halo and unused channels instead of the plane's fill value."""
    stored = np.full(plane.shape, plane.fill if junk is None else junk, plane.dtype)
    top, left = plane.halo.top, plane.halo.left
    inside = stored[:, :, top : top + plane.height, left : left + plane.width]
    for channel in range(plane.channels):
        inside[:, channel // plane.block, :, :, channel % plane.block] = array[:, channel]
    return stored


def from_plane(stored: np.ndarray, plane: Plane) -> np.ndarray:
    """The NCHW interior of a plane's memory; everything else must hold the fill value."""
    top, left = plane.halo.top, plane.halo.left
    inside = stored[:, :, top : top + plane.height, left : left + plane.width]
    channels = [
        inside[:, channel // plane.block, :, :, channel % plane.block] for channel in range(plane.channels)
    ]
    array = np.stack(channels, axis=1)
    np.testing.assert_array_equal(to_plane(array, plane), stored, err_msg="halo or unused channels")
    return array


Outputs = Sequence[tuple[tuple[int, ...], Any]]


def compiled(kernel: Kernel, target: Target = NATIVE) -> Callable[[Sequence[np.ndarray], Outputs], Any]:
    """The kernel as a function of arrays; outputs start out full of junk, nothing may stay unwritten."""
    spec: dict[str, Any] = {"kind": "llvm", "mcpu": target.mcpu, "mattr": list(target.mattr)}
    name = str(kernel.func.attrs["global_symbol"])
    module = tvm.tirx.build(tvm.IRModule({name: kernel.func}), target=tvm.target.Target(spec))

    def call(inputs: Sequence[np.ndarray], outputs: Outputs) -> list[np.ndarray]:
        results = [tvm.runtime.tensor(np.full(shape, 77, dtype)) for shape, dtype in outputs]
        arguments = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in (*inputs, *kernel.params.values())]
        module[name](*arguments, *results)
        return [result.numpy() for result in results]

    return call


def run(
    kernel: Kernel, inputs: Sequence[np.ndarray], outputs: Outputs, target: Target = NATIVE
) -> list[np.ndarray]:
    """Compiles and calls a kernel once."""
    return compiled(kernel, target)(inputs, outputs)


def digests_by_threads(kernel: Kernel, inputs: Sequence[np.ndarray], outputs: Outputs) -> list[str]:
    """A digest of the outputs with one thread and one with two; TVM starts threads once per process."""
    configure, call = tvm.get_global_func("runtime.config_threadpool"), compiled(kernel)
    digests = []
    for threads in (1, 2):
        configure(1, threads)
        assert tvm.get_global_func("runtime.NumThreads")() == threads
        results = b"".join(result.tobytes() for result in call(inputs, outputs))
        digests.append(hashlib.sha256(results).hexdigest()[:16])
    return digests


def lines_of_two_threads(script: str) -> list[list[str]]:
    """The words of each line that a test's script prints in a process that may use two threads."""
    environment = {**os.environ, "TVM_NUM_THREADS": "2", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def run_to_plane(
    kernel: Kernel, inputs: Sequence[np.ndarray], output: Plane, target: Target = NATIVE
) -> np.ndarray:
    """Calls a kernel with one output plane and returns its checked NCHW interior."""
    return from_plane(run(kernel, inputs, [(output.shape, output.dtype)], target)[0], output)


def codes(plane: Plane, seed: int = 0) -> np.ndarray:
    """Random NCHW codes with both ends of the range among them."""
    shape = (plane.batch, plane.channels, plane.height, plane.width)
    array = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    array.flat[0], array.flat[-1] = 0, 255
    return array


def floats(plane: Plane, seed: int = 0, spread: float = 3.0) -> np.ndarray:
    """Random NCHW values of the plane's float type."""
    shape = (plane.batch, plane.channels, plane.height, plane.width)
    return np.random.default_rng(seed).normal(0, spread, shape).astype(plane.dtype)
