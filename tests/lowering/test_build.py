"""Kernels trust their callers, so that what calls them must check every tensor."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lowering.selected import conv, small
from vacc_deploy.lowering.pipeline import lower
from vacc_deploy.lowering.target import TARGETS
from vacc_deploy.runtime import backend


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory):
    """The loaded ``main`` of a small int8 network, and aligned arguments for it."""
    library = tmp_path_factory.mktemp("build") / "mod.so"
    lowered = lower(small(lambda b, x: conv(b, x), int8=True), TARGETS["generic"], library)
    module = backend.tvm_ffi().load_module(str(library))["vm_load_executable"]()
    module["vm_initialization"](1, 0, 2)
    picture = lowered.inputs[0]
    arrays = [np.zeros(picture.shape, picture.dtype), *lowered.params.values()]
    return module, [backend.aligned_copy(array, str(array.dtype)) for array in arrays]


def call(module, arrays):
    return module["main"](*map(backend.tvm_ffi().from_dlpack, arrays))


def test_fitting_arguments_compute(compiled):
    module, arrays = compiled
    assert np.isfinite(np.from_dlpack(call(module, arrays)[0])).all()


def _shorter(array):
    return array[:-1]


def _flat(array):
    return array.reshape(-1, 1, 1, 1, 1, 1, 1)


def _retyped(array):
    return array.view(np.uint8) if array.dtype != np.uint8 else array.view(np.int8)


@pytest.mark.parametrize("change", [_shorter, _flat, _retyped], ids=["shape", "rank", "type"])
def test_every_argument_is_checked(compiled, change):
    module, arrays = compiled
    assert len(arrays) > 3
    for place, array in enumerate(arrays):
        changed = [*arrays[:place], np.ascontiguousarray(change(array)), *arrays[place + 1 :]]
        with pytest.raises((RuntimeError, ValueError), match="Check failed"):
            call(module, changed)
