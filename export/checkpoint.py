"""Loads a checkpoint into a network: every key must fit, and every misfit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vacc_deploy.errors import CheckpointError
from vacc_deploy.safe_io.checkpoint import read_checkpoint

_SHOWN = 8  # keys per kind of misfit that a message lists


def _listing(title: str, items: Sequence[str]) -> list[str]:
    if not items:
        return []
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return [f"{len(items)} {title}: {', '.join(items[:_SHOWN])}{more}"]


def check_fit(
    network: nn.Module, arrays: Mapping[str, np.ndarray], where: str, model: str, hint: str | None = None
) -> None:
    """Raise if `arrays` are not exactly the weights of `network`.

    Counters that do not enter inference (``num_batches_tracked``) may be missing.

    Raises:
        CheckpointError: Names missing, unexpected and misshapen keys, and keys holding NaN or infinity.
    """
    state = network.state_dict()
    missing = [key for key in state if key not in arrays and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in arrays if key not in state]
    common = [key for key in state if key in arrays]
    misshapen = [
        f"{key} (is {_shape(arrays[key].shape)}, must be {_shape(state[key].shape)})"
        for key in common
        if tuple(arrays[key].shape) != tuple(state[key].shape)
    ]
    problems = [
        *_listing("missing", missing), *_listing("unexpected", unexpected), *_listing("misshapen", misshapen)
    ]  # fmt: skip
    if problems:
        raise CheckpointError(
            f"the checkpoint does not hold the weights of {model}",
            where=where,
            why="; ".join(problems),
            hint=hint or "choose the recipe and --variant that the checkpoint was trained for",
        )
    broken = [key for key in common if arrays[key].dtype.kind == "f" and not np.isfinite(arrays[key]).all()]
    if broken:
        raise CheckpointError(
            "the checkpoint holds NaN or infinity",
            where=where,
            why="; ".join(_listing("broken", broken)),
            hint="take an earlier checkpoint of the training",
        )


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape) or "scalar"


def load_arrays(
    network: nn.Module, arrays: Mapping[str, np.ndarray], where: str, model: str, hint: str | None = None
) -> None:
    """Copy `arrays` into `network`, converted to the network's types, after `check_fit`."""
    check_fit(network, arrays, where, model, hint)
    state = network.state_dict()
    for key, array in arrays.items():
        # An own, writable copy: file readers hand out read-only views.
        state[key].copy_(torch.from_numpy(np.array(array)))


def load_checkpoint(network: nn.Module, path: Path, model: str, hint: str | None = None) -> None:
    """Load safetensors, a state dict or a pickled module into `network`; no code of the file is executed.

    Args:
        network: Receives the weights, in place.
        path: The checkpoint.
        model: Name of the network for messages.
        hint: What to try if the checkpoint belongs to another model.

    Raises:
        FileError: The file cannot be read.
        CheckpointError: Its weights do not fit.
    """
    load_arrays(network, read_checkpoint(path), str(path), model, hint)
