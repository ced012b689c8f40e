"""Parameters and multiply-accumulates of a recipe's network, without computing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

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


class _OnlyShapes(TorchFunctionMode):
    """Leaves out what neither changes a shape nor multiplies weights.

    Without numbers it has no effect, but on the meta device each takes a dozen operators written in Python.
    """

    _LEFT_OUT: frozenset[Callable[..., Any]] = frozenset(
        {F.batch_norm, F.instance_norm, F.leaky_relu, F.normalize, nn.init.kaiming_uniform_, nn.init.uniform_}
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in self._LEFT_OUT:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the floating-point operations of every operator, by torch's own formulas."""

    flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


def measure(recipe: Recipe) -> Complexity:
    """Count on torch's meta device: shapes only, no memory, no arithmetic."""
    with torch.device("meta"), torch.no_grad(), _OnlyShapes():
        network = recipe.build().eval().requires_grad_(False)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        example = torch.empty(recipe.input_shape)
        with _Counter() as counter:  # type: ignore[no-untyped-call]
            network(example)
    return Complexity(parameters, counter.flops // 2)
