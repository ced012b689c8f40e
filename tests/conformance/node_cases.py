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

from tests.conformance.qdq_form import FLOAT_FORM, real_ends, to_qdq
from vacc_deploy.check.operators import SUPPORTED_OPERATORS, refusal
from vacc_deploy.errors import VdeployError

Array = npt.NDArray[Any]

_TYPES = {"float32", "float16", "int8", "uint8", "int32", "int64", "bool"}
_REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]
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
    **{f"Reduce{kind}": range(1, 2) for kind in _REDUCTIONS},
}

# Cases that the product computes otherwise on purpose, or as well as float32 allows.
_KNOWN: dict[str, str] = {
    "test_mish": "one of 10 000 elements, near 0, is off by more than 1e-7: float32's rounding",
    "test_mod_float_edge_cases_fmod_0_float16": "remainders of infinity do not occur in deployed networks",
    "test_mod_float_edge_cases_fmod_0_float32": "remainders of infinity do not occur in deployed networks",
    "test_resize_downsample_scales_linear_align_corners": (
        "corners are aligned to the whole number of pixels, as ONNX Runtime and PyTorch do"
    ),
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
        if operator not in SUPPORTED_OPERATORS and operator not in FLOAT_FORM:
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
    if node.op_type in FLOAT_FORM:
        return None
    fed = _with_constants(case.model, case.data_sets[0][0])[1]
    if not fed or node.op_type in ("Shape", "Size"):
        return "its result is constant, so that nothing of it is left to compile"
    if any(np.ndim(array) == 0 for array in fed.values()):
        return "an input of a deployed network has a batch dimension"
    if any(array is None or 0 in np.shape(array) for array in arrays if not isinstance(array, list)):
        return "empty tensors do not occur in deployed networks"
    if attributes.get("training_mode") or case.name.startswith("test_training"):
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
                if case.model.graph.node[0].op_type in FLOAT_FORM:
                    expected = [real_ends(case.model, inputs, expected[0])[1]]
                problem = _difference(_run(case.model, inputs, target), expected, case)
                if problem and case.name in _KNOWN:
                    return Outcome(case.name, operators, Status.UNSUPPORTED, _KNOWN[case.name])
                if problem:
                    return Outcome(case.name, operators, Status.WRONG, problem)
    except VdeployError as error:
        reason = _KNOWN.get(case.name) or f"refused: {error.what}; {error.why}"[:200]
        return Outcome(case.name, operators, Status.UNSUPPORTED, reason)
    except Exception as error:
        return Outcome(case.name, operators, Status.FAILED, f"{type(error).__name__}: {error}"[:200])
    return Outcome(case.name, operators, Status.PASSED)


def _run(model: onnx.ModelProto, inputs: list[Array], target: str) -> list[Array]:
    """`model` compiled the way a user's file is, its floats stored as float32."""
    from tests.conformance.compiled import compile_and_run

    if model.graph.node[0].op_type in FLOAT_FORM:
        source, _ = real_ends(model, inputs, inputs[0])
        model, inputs = to_qdq(model, inputs), [source]
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
