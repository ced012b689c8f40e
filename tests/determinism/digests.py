"""Digests of what the stages make of the golden networks, as lines of one text file.

    <sha256>  <network>/quantized.onnx
    <sha256>  <network>/<target>/mod.params
    <sha256>  <network>/<target>/mod.json
    <sha256>  <network>/<target>/outputs

The first three are pure functions of the network, the same on every machine. Outputs of float sections may
differ between instruction sets in the last bit, so each target has a line, made on a machine that runs it.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx_ir as ir

from tests.determinism.golden_networks import NETWORKS, example, quantized_network
from tests.networks.compare import RUNNABLE, compile_into, set_threads
from vacc_deploy.lowering.target import TARGETS, Target
from vacc_deploy.runtime.model import Model

FILE = Path(__file__).with_name("digests.txt")


def digest(data: bytes) -> str:
    """sha256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def network_digests(name: str, targets: Iterable[Target] = tuple(TARGETS.values())) -> dict[str, str]:
    """Line name → digest for one of the five networks."""
    model = quantized_network(name)
    result = {f"{name}/quantized.onnx": digest(ir.to_proto(model).SerializeToString(deterministic=True))}
    for target in targets:
        result |= compiled_digests(name, model, target)
    return result


def compiled_digests(name: str, model: ir.Model, target: Target) -> dict[str, str]:
    """The lines of one network and one target; no outputs where this machine cannot run it."""
    key = f"{name}/{target.name}"
    with tempfile.TemporaryDirectory(prefix="vdeploy-golden-") as folder:
        prefix = compile_into(Path(folder), model, target, name)
        manifest = json.loads(prefix.with_name("mod.json").read_text())
        lines = {
            f"{key}/mod.params": digest(prefix.with_name("mod.params").read_bytes()),
            f"{key}/mod.json": digest(json.dumps(manifest, sort_keys=True).encode()),
        }
        if target in RUNNABLE:
            compiled = Model(prefix)
            set_threads(1)
            arrays = compiled.run([example(spec.shape) for spec in compiled.inputs])
            lines[f"{key}/outputs"] = digest(b"".join(array.tobytes() for array in arrays))
    return lines


def stored() -> dict[str, str]:
    """What `FILE` says."""
    if not FILE.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in FILE.read_text().splitlines() if line.strip())
    return {name: value for value, name in pairs}


def store(digests: dict[str, str]) -> None:
    """Write `FILE`, sorted."""
    FILE.write_text("".join(f"{digests[name]}  {name}\n" for name in sorted(digests)))


__all__ = ["FILE", "NETWORKS", "compiled_digests", "digest", "network_digests", "store", "stored"]
