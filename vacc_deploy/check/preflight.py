"""Will this model compile?  Looks at an ONNX or TorchScript file without running or converting it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from vacc_deploy.check.finding import Finding
from vacc_deploy.check.operators import SUPPORTED_OPERATORS, TORCH_REFUSALS, refusal
from vacc_deploy.safe_io import check_torchscript, open_archive, read_onnx

_STANDARD_DOMAINS = ("", "ai.onnx")
_OLDEST_OPSET = 7
_MAX_CODE_BYTES = 16 << 20
_MAX_LISTED = 20
_FLOAT_TYPES = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}
_TORCH_CALL = re.compile(r"\b(?:torch|ops\.\w+)\.(\w+)\(")


def preflight(path: Path, finding: Finding, supported: Collection[str] = SUPPORTED_OPERATORS) -> None:
    """Record what would stop `path` from compiling.

    Args:
        path: An ONNX or TorchScript file.
        finding: Gets one error per unsupported operator: node, reason, rewrite.
        supported: The ONNX operators that lower.

    Raises:
        FileError: The file cannot be read, or is neither.
    """
    if path.suffix.lower() == ".onnx":
        _preflight_onnx(path, finding, supported)
    else:
        _preflight_torchscript(path, finding)


def _preflight_onnx(path: Path, finding: Finding, supported: Collection[str]) -> None:
    model = read_onnx(path)
    opset = max(
        (entry.version for entry in model.opset_import if entry.domain in _STANDARD_DOMAINS), default=0
    )
    if opset < _OLDEST_OPSET:
        finding.errors.append(f"{path}: operator set {opset} is too old; export again with opset 17")
    initialisers = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in initialisers:
            _check_input(path, value, finding)
    local = {function.name for function in model.functions}
    refused: dict[str, list[str]] = {}
    for node in model.graph.node:  # those inside If and Loop do not matter: these are refused themselves
        name = node.op_type if node.domain in _STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"
        if name not in supported and node.op_type not in local:
            label = node.name or f"that makes {', '.join(node.output)}"
            refused.setdefault(name, []).append(label)
    _report(path, refused, finding)
    finding.facts = {"operators": _counts(model.graph), "opset": opset}


def _counts(graph: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for node in graph.node:
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    return dict(sorted(counts.items()))


def _check_input(path: Path, value: Any, finding: Finding) -> None:
    tensor = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    sizes = dims[1:] if len(dims) > 1 and isinstance(dims[0], str) else dims  # an open batch alone becomes 1
    if not all(isinstance(dim, int) and dim > 0 for dim in sizes):
        finding.warnings.append(
            f"{path}: input '{value.name}' has the open shape {dims}; "
            "compile --shape, or frontend.shape of a build YAML, must fix it"
        )
    kind = _FLOAT_TYPES.get(tensor.elem_type)
    if kind in ("float64", "bfloat16"):
        finding.warnings.append(f"{path}: input '{value.name}' is {kind}; the card takes float32 or float16")


def _report(path: Path, refused: dict[str, list[str]], finding: Finding) -> None:
    for operator, nodes in sorted(refused.items()):
        why, hint = refusal(operator)
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        finding.errors.append(f"{path}: {operator} is not supported: node '{nodes[0]}'{more} ({why}); {hint}")


def _preflight_torchscript(path: Path, finding: Finding) -> None:
    """Read the operator calls out of the archive's code, which is text; nothing is loaded by torch."""
    check_torchscript(path)
    places: dict[str, str] = {}
    calls: set[str] = set()
    with open_archive(path) as archive:
        for name in archive.names:
            if "/code/" not in name or not name.endswith(".py"):
                continue
            text = archive.read(name, _MAX_CODE_BYTES).decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                for call in _TORCH_CALL.findall(line):
                    calls.add(call)
                    places.setdefault(call.rstrip("_"), f"{name.split('/code/')[1]}:{number}")
    for call in sorted(places.keys() & TORCH_REFUSALS.keys()):
        why, hint = TORCH_REFUSALS[call]
        finding.errors.append(f"{path}: {call} is not supported: {places[call]} ({why}); {hint}")
    finding.facts = {"operators": sorted(calls)}
