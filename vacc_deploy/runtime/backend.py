"""Load compiled code with TVM's small runtime alone: neither the compiler nor torch enters the process."""

from __future__ import annotations

import ctypes
import functools
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.cpu import cpu_count
from vacc_deploy.errors import ArtifactError
from vacc_deploy.without_torch import without_torch

_ALIGNMENT = 64  # bytes; the compiled code loads whole cache lines
# The runtime, and functions outside of it that compiled code calls by name: TopK's is one.
_LIBRARIES = ("libtvm_runtime.so", "libtvm_runtime_extra.so")
_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_TILEDATA = 158, 0x1023, 18


@functools.cache
def tvm_ffi() -> Any:
    """The `tvm_ffi` module with TVM's runtime libraries loaded.

    The number of threads is read when the pool starts, at the first parallel kernel: it defaults to all
    cores here, where TVM by itself would take half of them.
    """
    os.environ.setdefault("TVM_NUM_THREADS", str(cpu_count()))
    with without_torch():
        import tvm_ffi as module
    spec = find_spec("tvm")
    if spec is None or spec.origin is None:
        raise ArtifactError("apache-tvm is not installed", hint="pip install 'apache-tvm>=0.27,<0.28'")
    for name in _LIBRARIES:
        ctypes.CDLL(str(Path(spec.origin).parent / "lib" / name), ctypes.RTLD_GLOBAL)
    return module


_loaded: dict[Path, list[tuple[int, int]]] = {}  # path → the files that were loaded from it, by identity


def load_code(path: Path) -> Any:
    """The module of the shared object that is at `path` now.

    To the system's loader a name that it has loaded is the same library, whatever stands there by then: an
    artifact that replaces one in use would run the old code on the new constants. Every further file goes by
    a name of its own, with so many ``/.`` in it.

    Raises:
        RuntimeError: It cannot be loaded.
        OSError: There is no such file.
    """
    path = path.resolve()
    status = path.stat()
    files = _loaded.setdefault(path, [])
    identity = (status.st_dev, status.st_ino)
    if identity not in files:
        files.append(identity)
    detour = "/." * files.index(identity)
    return tvm_ffi().load_module(f"{path.parent}{detour}/{path.name}")


def set_threads(count: int) -> None:
    """Use `count` threads for kernels; raising the number works only before the first parallel kernel."""
    os.environ["TVM_NUM_THREADS"] = str(count)


@functools.cache
def request_amx() -> None:
    """Ask the kernel for the AMX tile registers, which a process has to do once before it uses them.

    Raises:
        ArtifactError: The kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _XFEATURE_TILEDATA) != 0:
        raise ArtifactError(
            "the operating system does not grant the AMX registers",
            hint="compile with --target x86-64-v4, or use Linux 5.16 or later",
        )


def aligned_copy(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """A C-contiguous copy of `array` as `dtype` that starts on a cache line.

    Compiled code crashes on anything less aligned.
    """
    size = array.size * np.dtype(dtype).itemsize
    buffer = np.empty(size + _ALIGNMENT, np.uint8)
    offset = -buffer.ctypes.data % _ALIGNMENT
    result = buffer[offset : offset + size].view(dtype).reshape(array.shape)
    result[...] = array
    return result
