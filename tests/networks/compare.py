"""Compile a network for every target that this machine runs, and compare it with the reference.

Integer sections must give the same bytes. A float section computes in another order than the reference,
so it may differ in the last bits of float16, and a code quantised from it by a step. To judge the
integers by themselves, the codes with which a float section enters an integer one become outputs of the
artifact, and the reference continues from the very same codes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from tests.networks.generator import Network
from vacc_deploy.artifact import Manifest, write_artifact
from vacc_deploy.cpu import cpu_features
from vacc_deploy.lowering.pipeline import Lowered, lower
from vacc_deploy.lowering.target import TARGETS, Target
from vacc_deploy.runtime import backend
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.reference.fixed_point import quantize
from vacc_deploy.runtime.reference.graph import _Runner
from vacc_deploy.runtime.reference.operator_kinds import MOVEMENT_OPS
from vacc_deploy.runtime.reference.qdq_groups import codes_of, find_groups

Array = npt.NDArray[Any]

RUNNABLE = tuple(target for target in TARGETS.values() if target.runs_on(cpu_features()))
FLOAT_BOUND = 2.0**-8  # largest error of a float section, relative to the largest value of the tensor

_BIG_CORES = 1  # TVM's affinity mode


@dataclass(slots=True)
class Comparison:
    """What `compare` found.

    Attributes:
        exact: Elements of integer results that were compared, over all targets, threads and items.
        floats: Elements of float results, likewise.
        worst_float: Largest error of a float result relative to its tensor's largest value.
        problems: One line per tensor that differs more than it may.
        engines: Steps of the run stream by engine, over all targets.
    """

    exact: int = 0
    floats: int = 0
    worst_float: float = 0.0
    problems: list[str] = field(default_factory=list)
    engines: dict[str, int] = field(default_factory=dict)


def compare(network: Network, targets: tuple[Target, ...] = RUNNABLE) -> Comparison:
    """Run `network` compiled for each target, with one thread and with two, and against the reference."""
    model = ir.from_proto(ir.to_proto(network.quantized))
    entries = expose_entries(model)
    result = Comparison()
    items = [
        {name: array[index : index + 1] for name, array in network.inputs.items()}
        for index in range(len(next(iter(network.inputs.values()))))
    ]
    for target in targets:
        with tempfile.TemporaryDirectory(prefix="vdeploy-network-") as folder:
            compiled = load(model, target, Path(folder), str(network.seed))
            for layer in compiled.manifest.run_stream:
                result.engines[layer.engine] = result.engines.get(layer.engine, 0) + 1
            names = [spec.name for spec in compiled.inputs]
            set_threads(1)
            single = [compiled.run([item[name] for name in names]) for item in items]
            set_threads(2)
            batch = compiled.run([network.inputs[name] for name in names])
        result.problems += _integer_groups_in_float(model, compiled)
        for output, array in enumerate(batch):
            alone = np.concatenate([row[output] for row in single])
            if alone.tobytes() != array.tobytes():
                result.problems.append(
                    f"{target.name}: {compiled.outputs[output].name} depends on threads or batch"
                )
        for item, arrays in zip(items, single, strict=True):
            got = {spec.name: array for spec, array in zip(compiled.outputs, arrays, strict=True)}
            _judge(model, item, got, entries, target, result)
    return result


def load(model: ir.Model, target: Target, folder: Path, name: str, storage: str = "float16") -> Model:
    """`model` compiled for `target` into `folder` and loaded."""
    return Model(compile_into(folder, model, target, name, storage))


def compile_into(folder: Path, model: ir.Model, target: Target, name: str, storage: str = "float16") -> Path:
    """The prefix of `model`'s artifact for `target`, which need not be one that this machine runs."""
    library = folder / "code.so"
    lowered = lower(model, target, library, storage=storage)
    manifest = manifest_of(lowered, target, name)
    return write_artifact(folder / name, manifest, library, lowered.params)


def manifest_of(lowered: Lowered, target: Target, name: str) -> Manifest:
    """The manifest of a network that no build configuration stands behind."""
    return Manifest(
        name=name,
        dtype="int8",
        target=target.name,
        isa=target.isa.value,
        requires=tuple(sorted(target.requires)),
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        run_stream=lowered.run_stream,
        params=tuple(lowered.params),
        versions={},
    )


def set_threads(count: int) -> None:
    """Run kernels on `count` threads from now on."""
    backend.tvm_ffi().get_global_func("runtime.config_threadpool")(_BIG_CORES, count)


def expose_entries(model: ir.Model) -> dict[str, ir.Node]:
    """Make every tensor of codes that a float section yields an output, as floats.

    Returns:
        Output name → the QuantizeLinear.
    """
    inside = {group.quantize for group in find_groups(model).values()}
    entries = {}
    for node in list(model.graph):
        source = node.inputs[0] if node.inputs else None
        if node.op_type != "QuantizeLinear" or node in inside or source is None or source.is_graph_input():
            continue
        looks = [user for user in node.outputs[0].consumers() if user.op_type == "DequantizeLinear"]
        look = looks[0].outputs[0]
        if not look.is_graph_output():
            model.graph.outputs.append(look)
        entries[str(look.name)] = node
    return entries


def _integer_groups_in_float(model: ir.Model, compiled: Model) -> list[str]:
    """Operators that the reference computes in integers and the artifact does not."""
    engines = {node: layer.engine for layer in compiled.manifest.run_stream for node in layer.nodes}
    return [
        f"{compiled.manifest.target}: {node.op_type} {node.name} is not computed in integers"
        for node in find_groups(model)
        if node.op_type not in MOVEMENT_OPS and engines[str(node.name)] != "int8"
    ]


class _Continued(_Runner):
    """The reference, which takes the codes of float sections from elsewhere."""

    def __init__(self, model: ir.Model, codes: Mapping[ir.Node, Array]) -> None:
        super().__init__(model)
        self.given = codes
        self.float_steps = 0
        self.inexact: set[str] = set()

    def _quantize(self, node: ir.Node) -> None:
        if node in self.given:
            self.values[str(node.outputs[0].name)] = self.given[node]
        else:
            super()._quantize(node)

    def _run_float(self, node: ir.Node) -> None:
        super()._run_float(node)
        self.inexact.update(str(value.name) for value in node.outputs)


def _judge(
    model: ir.Model,
    item: Mapping[str, Array],
    got: Mapping[str, Array],
    entries: Mapping[str, ir.Node],
    target: Target,
    result: Comparison,
) -> None:
    codes = {node: _codes(node, got[name]) for name, node in entries.items()}
    runner = _Continued(model, codes)
    for name, array in item.items():
        runner.values[name] = array.astype(np.float16).astype(np.float32)
    runner.run()
    for name, array in got.items():
        expected = runner.values[name].astype(np.float16)
        if not np.array_equal(np.isfinite(array), np.isfinite(expected)):
            result.problems.append(f"{target.name}: {name} is not finite")
            continue
        if name in runner.inexact:
            _judge_float(f"{target.name}: {name}", array, expected, FLOAT_BOUND, result)
        elif name in entries:
            _judge_entry(f"{target.name}: {name}", entries[name], runner, codes, result)
        else:
            result.exact += array.size
            different = int(np.count_nonzero(array != expected))
            if different:
                result.problems.append(f"{target.name}: {name} differs in {different} of {array.size}")


def _judge_entry(
    where: str, node: ir.Node, runner: _Continued, codes: Mapping[ir.Node, Array], result: Comparison
) -> None:
    """Codes made from a float: as exact as the float is, and at most a step more."""
    source = node.inputs[0]
    assert source is not None
    known = codes_of(node, codes=node.outputs[0])
    real = runner.values[str(source.name)]
    expected = quantize(real, known.scale, known.zero_point, known.dtype)
    steps = np.abs(codes[node].astype(int) - expected).max(initial=0)
    allowed = 1 + FLOAT_BOUND * np.abs(real).max(initial=0) / float(known.scale)
    result.floats += expected.size
    if steps > allowed:
        result.problems.append(f"{where} enters integers {steps} steps off")


def _judge_float(where: str, array: Array, expected: Array, bound: float, result: Comparison) -> None:
    largest = float(np.abs(expected.astype(np.float64)).max(initial=0))
    error = float(np.abs(array.astype(np.float64) - expected).max(initial=0))
    relative = error / largest if largest else float(error > 0)
    result.floats += array.size
    result.worst_float = max(result.worst_float, relative)
    if relative > bound:
        result.problems.append(f"{where} is off by {relative:.2e} of its largest value")


def _codes(node: ir.Node, dequantized: Array) -> Array:
    """The codes behind their float16 values; exact, because 255 steps fit into float16's 11 bits."""
    known = codes_of(node, codes=node.outputs[0])
    steps = np.rint(dequantized.astype(np.float64) / float(known.scale))
    return (steps + known.zero_point).astype(known.dtype)
