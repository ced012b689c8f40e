"""Picking one element of an axis becomes a Slice, or nothing where the axis was made by copying."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.errors import ModelError
from vacc_deploy.frontend.load import clean


@dataclass(frozen=True)
class Case:
    """``Gather(Tile(x, times), index, axis)`` on x of `shape`; no Tile where `times` is empty."""

    shape: tuple[int, ...]
    index: int | list[int]
    axis: int
    times: tuple[int, ...] = ()
    left: tuple[str, ...] = ()  # operators of the rewritten model


CASES = {
    "last axis": Case((1, 3, 4), 2, -1, left=("Slice", "Reshape")),
    "negative index": Case((1, 3, 4), -3, 1, left=("Slice", "Reshape")),
    "kept axis": Case((1, 3, 4), [1], 1, left=("Slice",)),
    "copies": Case((1, 1, 4), 5, 1, (1, 6, 1), left=("Reshape",)),
    "copies of several": Case((1, 2, 4), 3, 1, (1, 2, 1), left=("Tile", "Slice", "Reshape")),
    "copied elsewhere": Case((1, 1, 4), 1, 1, (1, 2, 3), left=("Tile", "Slice", "Reshape")),
    "several elements": Case((1, 3, 4), [2, 0], 1, left=("Gather",)),
}


def result_shape(case: Case) -> tuple[int, ...]:
    axis = case.axis % len(case.shape)
    sizes = [size * times for size, times in zip(case.shape, case.times or (1, 1, 1), strict=True)]
    return (*sizes[:axis], *np.shape(case.index), *sizes[axis + 1 :])


def gather(case: Case) -> onnx.ModelProto:
    constants = [numpy_helper.from_array(np.array(case.index, np.int64), "index")]
    nodes = [helper.make_node("Gather", ["data", "index"], ["y"], name="pick", axis=case.axis)]
    if case.times:
        constants.append(numpy_helper.from_array(np.array(case.times, np.int64), "times"))
        nodes.insert(0, helper.make_node("Tile", ["x", "times"], ["data"], name="copy"))
    else:
        nodes[0].input[0] = "x"
    graph = helper.make_graph(
        nodes,
        "gather",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result_shape(case))],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize("name", CASES)
def test_one_index_needs_no_gather(name: str, run: Any) -> None:
    case = CASES[name]
    x = np.random.default_rng(1).standard_normal(case.shape).astype(np.float32)
    expected = np.take(np.tile(x, case.times) if case.times else x, case.index, case.axis)
    model = clean(gather(case), None, name)
    np.testing.assert_array_equal(run(model, x)[0], expected)
    assert Counter(node.op_type for node in model.graph) == Counter(case.left)


def test_an_index_outside_its_axis_is_refused() -> None:
    with pytest.raises(ModelError, match="picks element 3 of an axis of 3"):
        clean(gather(Case((1, 3, 4), 3, 1)), None, "damaged")
