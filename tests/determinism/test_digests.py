"""The five networks give the digests that `digests.txt` holds; ``python -m tests.determinism`` renews it."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from tests.determinism.digests import NETWORKS, compiled_digests, digest, stored
from tests.determinism.golden_networks import quantized_network
from vacc_deploy.lowering.target import TARGETS

QUICK = {("vdsr", "x86-64-v3"), ("vdsr", "x86-64-v4"), ("vdsr", "sapphirerapids"), ("sparnet", "x86-64-v3")}
"""Networks and targets of every test run; the others are slow."""


@pytest.fixture(scope="module")
def quantized():
    made = {}

    def make(name):
        if name not in made:
            made[name] = quantized_network(name)
        return made[name]

    return make


def together(name):
    """One process quantises a network for all of its tests."""
    return pytest.mark.xdist_group(f"digests of {name}")


@pytest.mark.parametrize("name", [pytest.param(name, marks=together(name)) for name in sorted(NETWORKS)])
def test_quantized_network(name, quantized):
    made = digest(ir.to_proto(quantized(name)).SerializeToString(deterministic=True))
    assert made == stored()[f"{name}/quantized.onnx"], "python -m tests.determinism shows what changed"


def slow_unless_quick(name, target):
    marks = [together(name)] if (name, target) in QUICK else [together(name), pytest.mark.slow]
    return pytest.param(name, TARGETS[target], marks=marks, id=f"{name}-{target}")


@pytest.mark.parametrize(
    ("name", "target"), [slow_unless_quick(name, target) for name in sorted(NETWORKS) for target in TARGETS]
)
def test_compiled_network(name, target, quantized):
    made, known = compiled_digests(name, quantized(name), target), stored()
    assert made == {key: known.get(key) for key in made}, "python -m tests.determinism shows what changed"


def test_every_network_and_target_is_stored():
    files = ("mod.json", "mod.params")
    compiled = {f"{name}/{target}/{file}" for name in NETWORKS for target in TARGETS for file in files}
    outputs = {
        f"{name}/{target}/outputs" for name in NETWORKS for target in ("generic", "x86-64-v3", "x86-64-v4")
    }
    assert compiled | outputs | {f"{name}/quantized.onnx" for name in NETWORKS} <= set(stored())


@pytest.mark.parametrize("name", ["vdsr", "lesrcnn", "sparnet"])
def test_integer_networks_give_one_output_on_every_instruction_set(name):
    outputs = {value for key, value in stored().items() if key.startswith(f"{name}/") and "outputs" in key}
    assert len(outputs) == 1
