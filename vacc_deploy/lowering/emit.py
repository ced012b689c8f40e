"""Turn laid-out steps into a Relax module: one `call_tir` per kernel, Relax's own operators for the rest."""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.graph import Form, GenericStep, Place, Step, StepGraph
from vacc_deploy.lowering.layout import Layout
from vacc_deploy.lowering.single_node_model import single_node_model
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
        inputs = [self.vars[operand.place] for operand in step.inputs]
        layout = self.layout.of(step.output)
        self.vars[step.output.place] = self.builder.emit(
            relax.call_tir(function, [*inputs, *params], relax.TensorType(layout.shape, layout.dtype))
        )

    def _import(self, step: GenericStep) -> Any:
        """The function that Relax's importer makes of a node."""
        model = single_node_model(step)
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
        inputs = [self.vars[operand.place] for operand in step.inputs]
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
