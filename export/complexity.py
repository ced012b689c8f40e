"""Parameters and multiply-accumulates of a recipe's network, without computing anything."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from vacc_deploy.export.recipe import Recipe

# The seed cards count 2·MACs and divide by 0.9e9, so their "GFLOPs" are 11 % above 2·MACs/1e9.
_CARD_DIVISOR = 0.9e9


@dataclass(frozen=True, slots=True)
class Complexity:
    """Size and cost of one network.

    Args:
        parameters: Weights, shared ones counted once.
        macs: Multiply-accumulates of convolutions and matrix products for one input.
    """

    parameters: int
    macs: int

    @property
    def card_gflops(self) -> float:
        """The figure as the vendor's cards state it."""
        return 2 * self.macs / _CARD_DIVISOR


def measure(recipe: Recipe) -> Complexity:
    """Count on torch's meta device: shapes only, no memory, no arithmetic."""
    with torch.device("meta"):
        network = recipe.build().eval().requires_grad_(False)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        example = torch.empty(recipe.input_shape)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(example)
    return Complexity(parameters, counter.get_total_flops() // 2)
