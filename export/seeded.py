"""Weights for networks whose checkpoint is not at hand: random, but the same on every machine.

Each tensor is drawn from a generator of its own, seeded with the CRC-32 of its state_dict key, so it
depends on its key and shape alone.  With n standard normal in float64, rounded once to float32:

    convolution, linear     n · sqrt(2 / fan_in) · gain
    bias                    n · 0.01 · gain
    normalisation           weight (1 + 0.1 n) · gain, bias 0.1 n, mean 0.1 n, variance uniform in [0.5, 1.5]
    PReLU slope             0.25
    spectral norm's u, v    thirty power iterations from a random u

A module of another kind says how its own tensors are drawn in an attribute ``seeded_kinds``.
Frozen parameters and all other buffers keep the value that the network's constructor gave them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_POWER_ITERATIONS = 30
_Array = NDArray[np.float64]
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)

_RULES: dict[str, Callable[[_Array, float], _Array]] = {
    "raw": lambda n, gain: n * gain,
    "bias": lambda n, gain: n * (0.01 * gain),
    "near_one": lambda n, gain: (1.0 + 0.1 * n) * gain,
    "near_half": lambda n, gain: (0.5 + 0.1 * n) * gain,
    "small": lambda n, gain: 0.1 * n,
    "slope": lambda n, gain: np.full(n.shape, 0.25),
}


def _generator(key: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(key.encode()))


def _fan_in(module: nn.Module, shape: tuple[int, ...]) -> int:
    if isinstance(module, nn.ConvTranspose2d):  # (C_in, C_out / groups, kH, kW)
        per_output = shape[0] // module.groups * shape[2] * shape[3]
        return per_output // (module.stride[0] * module.stride[1])
    return int(np.prod(shape[1:]))  # (C_out, C_in / groups, kH, kW) or (C_out, C_in)


def _kind(module: nn.Module, name: str, key: str) -> str | None:
    """How tensor `name` of `module` is drawn; None keeps its value."""
    kinds: Mapping[str, str] = getattr(module, "seeded_kinds", {})
    if name in kinds:
        return kinds[name]
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        return {
            "weight": "fan_in", "weight_orig": "fan_in", "bias": "bias",
            "weight_u": "spectral", "weight_v": "spectral",
        }.get(name)  # fmt: skip
    if isinstance(module, _NORMS):
        return {
            "weight": "near_one", "bias": "small", "running_mean": "small", "running_var": "variance"
        }.get(name)  # fmt: skip
    if isinstance(module, nn.PReLU):
        return "slope"
    return None


def draw(key: str, kind: str, shape: tuple[int, ...], gain: float, fan_in: int) -> NDArray[np.float32]:
    """The tensor of one key, as the module's docstring says."""
    generator = _generator(key)
    if kind == "variance":
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    normal = generator.standard_normal(shape)
    values = normal * (np.sqrt(2.0 / fan_in) * gain) if kind == "fan_in" else _RULES[kind](normal, gain)
    return np.asarray(values).astype(np.float32)


def _unit(vector: _Array) -> _Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


def _singular_vectors(weight: NDArray[np.float32], prefix: str) -> dict[str, NDArray[np.float32]]:
    """The two vectors of the power iteration that spectral normalisation keeps beside its weight."""
    matrix = weight.astype(np.float64).reshape(weight.shape[0], -1)
    u = _unit(_generator(f"{prefix}.weight_u").standard_normal(matrix.shape[0]))
    v = u
    for _ in range(_POWER_ITERATIONS):
        v = _unit(matrix.T @ u)
        u = _unit(matrix @ v)
    return {"weight_u": u.astype(np.float32), "weight_v": v.astype(np.float32)}


def seeded_state(network: nn.Module, gains: Mapping[str, float]) -> dict[str, NDArray[np.float32]]:
    """Weights for every floating-point tensor of `network`.

    Args:
        network: Any network.
        gains: Regular expression matched at the start of a key → gain; the last match counts.

    Returns:
        state_dict key → array, in state_dict order; shared tensors appear under every one of their keys.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    made: dict[str, NDArray[np.float32]] = {}
    singular: dict[str, dict[str, NDArray[np.float32]]] = {}  # by module
    first_key: dict[int, str] = {}  # a tensor that several keys share is drawn by the first
    for key, tensor in network.state_dict(keep_vars=True).items():
        if not tensor.is_floating_point():
            continue
        owner = first_key.setdefault(id(tensor), key)
        if owner != key:
            made[key] = made[owner]
            continue
        prefix, _, name = key.rpartition(".")
        kind = _kind(modules[prefix], name, key)
        frozen = isinstance(tensor, nn.Parameter) and not tensor.requires_grad
        if kind is None or frozen:
            made[key] = tensor.detach().numpy().astype(np.float32)
            continue
        if kind == "spectral":
            if prefix not in singular:
                singular[prefix] = _singular_vectors(made[f"{prefix}.weight_orig"], prefix)
            made[key] = singular[prefix][name]
            continue
        shape = tuple(tensor.shape)
        gain = next((gain for pattern, gain in reversed(list(gains.items())) if re.match(pattern, key)), 1.0)
        made[key] = draw(key, kind, shape, gain, _fan_in(modules[prefix], shape) if len(shape) > 1 else 1)
    return made


def fill_seeded(network: nn.Module, gains: Mapping[str, float]) -> None:
    """Give `network` its seeded weights, in place."""
    state = network.state_dict()
    for key, values in seeded_state(network, gains).items():
        state[key].copy_(torch.from_numpy(values))
