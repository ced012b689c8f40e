"""Equal layers share code and constants; the run stream says what was emitted."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lowering.selected import selected, small
from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.emit import emit
from vacc_deploy.lowering.layout import assign_layouts
from vacc_deploy.lowering.pipeline import _run_stream
from vacc_deploy.lowering.target import TARGETS

TARGET = TARGETS["generic"]


def shared_layers(b, x):
    """One convolution three times, as a recurrent network unrolled."""
    weight = b.constant((b.random.normal(size=(8, 8, 3, 3)) / 9).astype(np.float32))
    for _ in range(3):
        x = b.node("Relu", [b.node("Conv", [x, weight], kernel_shape=[3, 3], pads=[1] * 4)])
    return x


def emitted(write, *, int8=False):
    graph = selected(small(write, int8=int8))
    layout = assign_layouts(graph)
    return layout, emit(graph, layout, TARGET)


def test_shared_layers_share_code_and_constants():
    layout, result = emitted(shared_layers)
    kernels = [
        kernel for step, kernel in zip(layout.steps, result.kernels, strict=True) if step.op == "conv2d"
    ]
    assert len(kernels) == 3
    assert len(set(kernels[:2])) == 1  # the last one's result has no halo
    weights = [name for name in result.params if "weights" in name]
    assert len(weights) == 1


def test_other_weights_are_other_constants():
    def write(b, x):
        for _ in range(2):
            weight = b.constant((b.random.normal(size=(8, 8, 1, 1)) / 9).astype(np.float32))
            x = b.node("Conv", [x, weight], kernel_shape=[1, 1])
        return x

    _, result = emitted(write)
    assert len([name for name in result.params if "weights" in name]) == 2


def test_macs_are_counted():
    layout, result = emitted(shared_layers)
    assert sum(result.macs) == 3 * 8 * 8 * 9 * 9 * 10
    assert [macs > 0 for macs in result.macs] == [step.op == "conv2d" for step in layout.steps]


def test_the_run_stream_names_kernels_nodes_and_reasons():
    layout, result = emitted(shared_layers, int8=True)
    rows = _run_stream(layout, result, {"conv0": "measured"})
    # The last convolution hands out float16, behind its Relu.
    assert [row.engine for row in rows] == ["convert", "int8", "int8", "int8", "convert"]
    first = next(row for row in rows if "conv0" in row.nodes)
    assert first.why == "measured"
    assert first.kernel.startswith("vacc_conv2d_")
    assert first.scale is not None
    assert {row.kernel for row in rows} <= {
        variable.name_hint for variable in result.module.get_global_vars()
    }


def test_the_same_graph_gives_the_same_module_and_constants():
    import tvm

    (_, one), (_, two) = emitted(shared_layers, int8=True), emitted(shared_layers, int8=True)
    assert list(one.params) == list(two.params)
    assert all(one.params[name].tobytes() == two.params[name].tobytes() for name in one.params)
    tvm.ir.assert_structural_equal(one.module, two.module)


def test_an_operator_without_a_kernel_is_refused_in_words_of_ours(capfd):
    def write(b, x):
        return b.node("Celu", [x])

    with pytest.raises(ModelError, match="operator Celu cannot be compiled") as caught:
        emitted(write)
    assert caught.value.why == "no kernel is built for it"
    assert capfd.readouterr().err == ""
