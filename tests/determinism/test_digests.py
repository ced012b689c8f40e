"""The five networks give the digests that `digests.txt` holds; ``python -m tests.determinism`` renews it."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from tests.determinism.digests import NETWORKS, compiled_digests, digest, stored
from tests.determinism.golden_networks import quantized_network
from tests.networks.compare import RUNNABLE

QUICK = ("vdsr", "sparnet")


@pytest.fixture(scope="module")
def quantized():
    made = {}

    def make(name):
        if name not in made:
            made[name] = quantized_network(name)
        return made[name]

    return make


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_quantized_network(name, quantized):
    made = digest(ir.to_proto(quantized(name)).SerializeToString(deterministic=True))
    assert made == stored()[f"{name}/quantized.onnx"], "python -m tests.determinism shows what changed"


def slow_unless_quick(name, target):
    quick = name in QUICK and target is RUNNABLE[0]
    return pytest.param(name, target, marks=() if quick else pytest.mark.slow, id=f"{name}-{target.name}")


@pytest.mark.parametrize(
    ("name", "target"), [slow_unless_quick(name, target) for name in sorted(NETWORKS) for target in RUNNABLE]
)
def test_compiled_network(name, target, quantized):
    known = {key: value for key, value in stored().items() if key.startswith(f"{name}/{target.name}/")}
    if not known:
        pytest.skip(f"digests.txt was written on a machine that does not run {target.name}")
    assert compiled_digests(name, quantized(name), target) == known, (
        "python -m tests.determinism shows what changed"
    )


def test_every_network_and_target_is_stored():
    targets = ("generic", "x86-64-v3", "x86-64-v4")
    files = ("mod.json", "mod.params", "outputs")
    compiled = {f"{name}/{target}/{file}" for name in NETWORKS for target in targets for file in files}
    assert compiled | {f"{name}/quantized.onnx" for name in NETWORKS} <= set(stored())


@pytest.mark.parametrize("name", ["vdsr", "lesrcnn", "sparnet"])
def test_integer_networks_give_one_output_on_every_instruction_set(name):
    outputs = {value for key, value in stored().items() if key.startswith(f"{name}/") and "outputs" in key}
    assert len(outputs) == 1
