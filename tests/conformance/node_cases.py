"""The ONNX backend node tests as cases of ours: which are supported, and how one is compiled and judged."""

from __future__ import annotations

import functools
import json
import tempfile
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from vacc_deploy.check.operators import SUPPORTED_OPERATORS, refusal
from vacc_deploy.errors import VdeployError

Array = npt.NDArray[Any]

_TYPES = {"float32", "float16", "int8", "uint8", "int32", "int64", "bool"}
# Operands that are constants in a deployed network; the node tests feed them at run time.
_CONSTANT_OPERANDS: dict[str, range] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "PRelu"), range(1, 3)),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "LayerNormalization"), range(1, 3)),
    **dict.fromkeys(("Clip", "Slice", "Pad", "Resize", "QuantizeLinear", "DequantizeLinear"), range(1, 5)),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze", "Expand", "Tile", "Split", "TopK"), range(1, 2)),
    **dict.fromkeys(("CumSum", "Trilu", "Upsample", "Dropout"), range(1, 3)),
    **dict.fromkeys(("OneHot",), range(1, 3)),
    **dict.fromkeys(("Range", "ConstantOfShape"), range(3)),
    "BatchNormalization": range(1, 5),
}


class Status(str, Enum):
    """How a case ended."""

    PASSED = "passed"
    WRONG = "wrong values"
    FAILED = "failed to compile or run"
    CRASHED = "crashed"
    UNSUPPORTED = "not supported"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case's end, and why."""

    name: str
    operators: tuple[str, ...]
    status: Status
    reason: str = ""

    def to_json(self) -> str:
        """One line."""
        return json.dumps([self.name, self.operators, self.status.value, self.reason])

    @classmethod
    def from_json(cls, line: str) -> Outcome:
        """The outcome that `to_json` wrote."""
        name, operators, status, reason = json.loads(line)
        return cls(name, tuple(operators), Status(status), reason)


@functools.cache
def load_cases() -> tuple[Any, ...]:
    """Every node test that is not another's function body, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases overflow on purpose
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
    kept = [case for case in cases if "_expanded" not in case.name and case.model is not None]
    return tuple(sorted(kept, key=lambda case: str(case.name)))


def operators_of(case: Any) -> tuple[str, ...]:
    """The operators of a case, sorted; other domains by their full name."""
    nodes = case.model.graph.node
    return tuple(sorted({f"{n.domain}.{n.op_type}" if n.domain else n.op_type for n in nodes}))


def reason_against(case: Any) -> str | None:
    """Why a case is outside of what the product supports, or None."""
    for operator in operators_of(case):
        if operator not in SUPPORTED_OPERATORS:
            return refusal(operator)[0]
    values = [*case.model.graph.input, *case.model.graph.output]
    for value in values:
        if not value.type.HasField("tensor_type"):
            return "lists and optional values are not tensors"
        tensor = value.type.tensor_type
        name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        name = {"float": "float32"}.get(name, name)
        if name not in _TYPES:
            return f"{name} tensors do not occur in deployed networks"
    return _reason_of_node(case)


def _reason_of_node(case: Any) -> str | None:
    node, *_ = case.model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    arrays = [*case.data_sets[0][0], *case.data_sets[0][1]]
    if any(array is None or 0 in np.shape(array) for array in arrays if not isinstance(array, list)):
        return "empty tensors do not occur in deployed networks"
    if attributes.get("training_mode"):
        return "training is not inference"
    return None


def run_case(case: Any, target: str = "native") -> Outcome:
    """Compile and run one case, and compare its outputs with the expected ones."""
    operators = operators_of(case)
    reason = reason_against(case)
    if reason is not None:
        return Outcome(case.name, operators, Status.UNSUPPORTED, reason)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for inputs, expected in case.data_sets:
                problem = _difference(_run(case.model, inputs, target), expected, case)
                if problem:
                    return Outcome(case.name, operators, Status.WRONG, problem)
    except VdeployError as error:
        return Outcome(case.name, operators, Status.FAILED, f"{error.what}: {error.why}"[:200])
    except Exception as error:
        return Outcome(case.name, operators, Status.FAILED, f"{type(error).__name__}: {error}"[:200])
    return Outcome(case.name, operators, Status.PASSED)


def _run(model: onnx.ModelProto, inputs: list[Array], target: str) -> list[Array]:
    """`model` compiled the way a user's file is, its floats stored as float32."""
    from tests.conformance.compiled import compile_and_run

    fixed, feeds = _with_constants(model, inputs)
    with tempfile.TemporaryDirectory(prefix="vdeploy-conformance-") as folder:
        return compile_and_run(fixed, feeds, target, Path(folder))


def _with_constants(model: onnx.ModelProto, inputs: list[Array]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constant = {
        node.input[index]
        for node in copy.graph.node
        for index in _CONSTANT_OPERANDS.get(node.op_type, range(0))
        if index < len(node.input) and node.input[index]
    }
    feeds = {}
    kept = []
    for value, array in zip(list(copy.graph.input), inputs, strict=True):
        if value.name in constant:
            copy.graph.initializer.append(numpy_helper.from_array(np.asarray(array), value.name))
        else:
            kept.append(value)
            feeds[value.name] = np.asarray(array)
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    return copy, feeds


def _difference(got: list[Array], expected: list[Array], case: Any) -> str | None:
    for index, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        theirs = np.asarray(theirs)
        if ours.shape != theirs.shape:
            return f"output {index} has shape {ours.shape} instead of {theirs.shape}"
        if theirs.dtype.kind != "f":
            different = int(np.count_nonzero(ours != theirs))
        else:
            close = np.isclose(ours, theirs, rtol=case.rtol, atol=case.atol, equal_nan=True)
            different = int(np.count_nonzero(~close))
        if different:
            return f"{different} of {theirs.size} elements of output {index} differ"
    return None
