"""Random networks give the reference's bytes on every instruction set."""

from __future__ import annotations

import pytest

from tests.networks.compare import RUNNABLE, Comparison, compare
from tests.networks.generator import random_network
from tests.networks.operators import OPERATORS

QUICK = range(12)  # of three operators each
MANY = range(1000, 1020)  # `python -m tests.networks --count 300` tries as many as one likes


def check(seed: int, operators: int | None = None) -> Comparison:
    found = compare(random_network(seed, operators))
    assert not found.problems, "\n".join(found.problems)
    return found


@pytest.mark.parametrize("seed", QUICK)
def test_random_network(seed: int) -> None:
    found = check(seed, 3)
    assert found.exact + found.floats > 0


@pytest.mark.slow
@pytest.mark.parametrize("first", range(MANY.start, MANY.stop, 10))
def test_many_random_networks(first: int) -> None:
    exact = sum(check(seed).exact for seed in range(first, first + 10))
    assert exact > 0


def test_a_seed_is_one_network() -> None:
    once, again = random_network(3), random_network(3)
    assert once.summary == again.summary
    for name, array in once.inputs.items():
        assert array.tobytes() == again.inputs[name].tobytes()


def test_many_networks_hold_every_operator() -> None:
    summaries = " ".join(random_network(seed).summary for seed in range(1000, 1080))
    assert {*OPERATORS, "head"} <= set(summaries.split())


def test_every_machine_runs_the_portable_target() -> None:
    assert "generic" in [target.name for target in RUNNABLE]


def test_a_wrong_network_is_noticed() -> None:
    """The comparison itself: weights that differ by one step from what was compiled."""
    network = random_network(1)
    weights = next(
        value
        for name, value in network.quantized.graph.initializers.items()
        if name.endswith("_weight_quantized")
    )
    from tests.networks import compare as module

    original = module.load

    def with_other_weights(model, *arguments):
        import onnx_ir as ir

        codes = weights.const_value.numpy().copy()
        codes.flat[0] = -codes.flat[0] if abs(int(codes.flat[0])) > 20 else 100
        model.graph.initializers[str(weights.name)].const_value = ir.tensor(codes, name=weights.name)
        compiled = original(model, *arguments)
        model.graph.initializers[str(weights.name)].const_value = weights.const_value
        return compiled

    module.load = with_other_weights
    try:
        assert compare(network, RUNNABLE[-1:]).problems
    finally:
        module.load = original
