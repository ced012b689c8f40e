"""Digests of what the stages make of the golden networks, as lines of one text file.

    <sha256>  <network>/quantized.onnx
    <sha256>  <network>/<target>/mod.params
    <sha256>  <network>/<target>/mod.json
    <sha256>  <network>/<target>/outputs

The first three are pure functions of the network. Outputs of float sections may differ between
instruction sets in the last bit, so there is a line per target, for targets that this machine runs.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import onnx_ir as ir

from tests.determinism.golden_networks import NETWORKS, example, quantized_network
from tests.networks.compare import RUNNABLE, load, set_threads
from vacc_deploy.lowering.target import Target

FILE = Path(__file__).with_name("digests.txt")


def digest(data: bytes) -> str:
    """sha256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def network_digests(name: str, targets: Iterable[Target] = RUNNABLE) -> dict[str, str]:
    """Line name → digest for one of the five networks."""
    model = quantized_network(name)
    result = {f"{name}/quantized.onnx": digest(ir.to_proto(model).SerializeToString(deterministic=True))}
    for target in targets:
        result |= compiled_digests(name, model, target)
    return result


def compiled_digests(name: str, model: ir.Model, target: Target) -> dict[str, str]:
    """The lines of one network and one target."""
    with tempfile.TemporaryDirectory(prefix="vdeploy-golden-") as folder:
        compiled = load(model, target, Path(folder), name)
        set_threads(1)
        arrays = compiled.run([example(spec.shape) for spec in compiled.inputs])
        files = {
            suffix: compiled.artifact.prefix.with_name(f"mod.{suffix}").read_bytes()
            for suffix in ("params", "json")
        }
    key = f"{name}/{target.name}"
    return {
        f"{key}/mod.params": digest(files["params"]),
        f"{key}/mod.json": digest(json.dumps(json.loads(files["json"]), sort_keys=True).encode()),
        f"{key}/outputs": digest(b"".join(array.tobytes() for array in arrays)),
    }


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
