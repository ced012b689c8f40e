"""Turn laid-out steps into a Relax module: one `call_tir` per kernel, Relax's own operators for the rest."""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.graph import Form, GenericStep, Step, StepGraph, Value
from vacc_deploy.lowering.layout import Layout, Place
from vacc_deploy.lowering.target import Target

KERNEL_PREFIX = "vacc_"
"""How the names of kernels of ours begin, and of no other function."""
_OPAQUE = 8  # Relax's pattern kind that operator fusion leaves alone


@dataclass(slots=True)
class Emitted:
    """A Relax module and what its `main` must be called with after the network's inputs."""

    module: Any  # tvm.IRModule
    params: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    kernels: list[str] = field(default_factory=list)  # of every step, "" for a generic one
    macs: list[int] = field(default_factory=list)


def emit(graph: StepGraph, layout: Layout, target: Target) -> Emitted:
    """Build the Relax module of a laid-out graph.

    ``main(*inputs, *params)`` returns the outputs; parameters are inputs so that they live in the
    artifact's safetensors file and not in its code.
    """
    return _Emitter(graph, layout, target).run()


class _Emitter:
    def __init__(self, graph: StepGraph, layout: Layout, target: Target) -> None:
        self.graph = graph
        self.layout = layout
        self.target = target
        self.builder = relax.BlockBuilder()
        self.vars: dict[Place, Any] = {}
        self.result = Emitted(module=None)
        self.param_vars: dict[str, Any] = {}  # digest of the content → variable
        self.functions: dict[int, tuple[Any, Any]] = {}  # id → (PrimFunc kept alive, GlobalVar)

    def run(self) -> Emitted:
        inputs = []
        for index, value in enumerate(self.graph.inputs):
            var = relax.Var(f"input_{index}", relax.TensorType(value.shape, value.dtype))
            self.vars[value.name, Form.PLAIN] = var
            inputs.append(var)
        built = [self._prepare(index, step) for index, step in enumerate(self.layout.steps)]
        with self.builder.function("main", [*inputs, *self.param_vars.values()]):
            with self.builder.dataflow():
                for step, call in zip(self.layout.steps, built, strict=True):
                    if isinstance(step, GenericStep):
                        self._call_generic(step, call[0])
                    else:
                        self._call_kernel(step, *call)
                outputs = [self.vars[value.name, Form.PLAIN] for value in self.graph.outputs]
                result = self.builder.emit_output(relax.Tuple(outputs))
            self.builder.emit_func_output(result)
        self.result.module = relax.transform.InlinePrivateFunctions()(self.builder.get())
        return self.result

    def _prepare(self, index: int, step: Step | GenericStep) -> tuple[Any, list[Any]]:
        """Build a step's function and register its constants, before `main`'s signature is fixed."""
        if isinstance(step, GenericStep):
            self.result.kernels.append("")
            self.result.macs.append(0)
            return self._import(step), []
        kernel = step.build(
            [self.layout.of(operand) for operand in step.inputs], self.layout.of(step.output), self.target
        )
        if id(kernel.func) not in self.functions:
            name = f"{KERNEL_PREFIX}{step.op}_{len(self.functions)}"
            func = kernel.func.with_attr({"global_symbol": name, "op_pattern": _OPAQUE})
            self.functions[id(kernel.func)] = (kernel.func, self.builder.add_func(func, name))
        variable = self.functions[id(kernel.func)][1]
        self.result.kernels.append(variable.name_hint)
        self.result.macs.append(kernel.macs)
        params = [self._param(f"{index:04d}.{name}", array) for name, array in kernel.params.items()]
        return variable, params

    def _param(self, name: str, array: npt.NDArray[Any]) -> Any:
        """The variable of a constant; equal constants (shared layers) share one."""
        array = np.ascontiguousarray(array)
        content = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
        content.update(array.data)
        digest = content.hexdigest()
        if digest not in self.param_vars:
            identifier = "p" + re.sub(r"\W", "_", name)
            self.param_vars[digest] = relax.Var(identifier, relax.TensorType(array.shape, str(array.dtype)))
            self.result.params[name] = array
        return self.param_vars[digest]

    def _call_kernel(self, step: Step, function: Any, params: list[Any]) -> None:
        inputs = [self.vars[operand.value.name, operand.form] for operand in step.inputs]
        layout = self.layout.of(step.output)
        self.vars[step.output.value.name, step.output.form] = self.builder.emit(
            relax.call_tir(function, [*inputs, *params], relax.TensorType(layout.shape, layout.dtype))
        )

    def _import(self, step: GenericStep) -> Any:
        """The function that Relax's importer makes of a node."""
        model = _single_node_model(step)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the importer renames values; nobody sees its names
                imported = from_onnx(model, keep_params_in_input=False)
        except Exception as error:
            said = str(error).strip().splitlines()[-1]
            raise ModelError(
                f"operator {step.node.op_type} cannot be compiled",
                where=f"node {step.node.name}",
                why="no kernel is built for it" if "not supported for frontend" in said else said,
                hint="vdeploy check MODEL lists every unsupported operator with a rewrite",
            ) from error
        return self.builder.add_func(self._adopt(imported), f"generic_{step.node.op_type}".lower())

    def _call_generic(self, step: GenericStep, callee: Any) -> None:
        inputs = [self.vars[operand.value.name, operand.form] for operand in step.inputs]
        call = self.builder.emit(relax.Call(callee, inputs))
        if len(step.outputs) == 1:
            self.vars[step.outputs[0].name, Form.PLAIN] = call
            return
        for index, value in enumerate(step.outputs):
            self.vars[value.name, Form.PLAIN] = self.builder.emit(relax.TupleGetItem(call, index))

    def _adopt(self, imported: Any) -> Any:
        """The ``main`` of an imported module, private, with the functions it calls moved into ours."""
        moved = {
            variable: self.builder.add_func(function.without_attr("global_symbol"), variable.name_hint)
            for variable, function in imported.functions_items()
            if variable.name_hint != "main"
        }
        main = imported["main"].without_attr("num_input").without_attr("global_symbol")
        return _Rename(moved).visit_expr(main) if moved else main


@relax.expr_functor.mutator
class _Rename(relax.PyExprMutator):  # type: ignore[misc]
    """Replaces global variables."""

    def __init__(self, moved: dict[Any, Any]) -> None:
        super().__init__()
        self.moved = moved

    def visit_global_var_(self, variable: Any) -> Any:
        """The variable's replacement, or itself."""
        return self.moved.get(variable, variable)


def _single_node_model(step: GenericStep) -> onnx.ModelProto:
    """One ONNX node as a model whose float inputs and outputs have the storage type.

    ::

        x (float16) ─ Cast ─► op in float32 ─ Cast ─► y (float16)      one rounding per operator
    """
    node = step.node
    operands = {operand.value.name: operand.value for operand in step.inputs}
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    names: list[str] = []
    declared: set[str] = set()
    for value in node.inputs:
        if value is None:
            names.append("")
        elif value.name in operands:
            stored = operands[value.name]
            names.append(_input_name(stored, nodes, declared))
        else:
            names.append(value.name)
            if value.name not in declared:
                initializers.append(onnx.numpy_helper.from_array(step.constants[value.name], value.name))
        declared.add(names[-1])
    attributes = [ir.to_proto(attribute) for attribute in node.attributes.values()]
    inner = onnx.helper.make_node(node.op_type, names, [], name=node.name, domain=node.domain)
    inner.attribute.extend(attributes)
    kept = {value.name: value for value in step.outputs}
    casts = []
    outputs = []
    for value in node.outputs:
        if value.name in kept and kept[value.name].dtype == "float16":
            inner.output.append(f"{value.name}.float32")
            casts.append(_cast(f"{value.name}.float32", value.name, onnx.TensorProto.FLOAT16))
        else:
            inner.output.append(value.name)
        if value.name in kept:
            outputs.append(_info(kept[value.name]))
    inputs = [_info(value) for value in operands.values()]
    graph = onnx.helper.make_graph([*nodes, inner, *casts], "generic", inputs, outputs, initializers)
    version = node.version or node.graph.opset_imports.get(node.domain, 18)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, version)])


def _input_name(value: Value, nodes: list[onnx.NodeProto], declared: set[str]) -> str:
    if value.dtype != "float16":
        return value.name
    name = f"{value.name}.float32"
    if name not in declared:
        nodes.append(_cast(value.name, name, onnx.TensorProto.FLOAT))
    return name


def _cast(source: str, target: str, to: int) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [source], [target], to=to)


def _info(value: Value) -> onnx.ValueInfoProto:
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
    return onnx.helper.make_tensor_value_info(value.name, element, value.shape)


def tvm_target(target: Target) -> Any:
    """LLVM's description of a target.

    Level 2 of optimisation makes code as fast as level 3: kernels are unrolled and vectorised already. What 3
    adds, copies of loops for either outcome of a condition above all, only takes time to compile.
    """
    description: dict[str, Any] = {"kind": "llvm", "mcpu": target.mcpu, "opt-level": 2}
    if target.mattr:
        description["mattr"] = list(target.mattr)
    return tvm.target.Target(description)
