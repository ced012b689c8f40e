"""Refuses networks whose weights are not numbers: a training run that diverged, or a damaged file."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from vacc_deploy.errors import ModelError

# Elsewhere an infinity may be meant: the bound of a Clip, the mask of an attention.
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def require_finite(model: ir.Model, where: str) -> None:
    """Check every constant of a network.

    Args:
        model: The network.
        where: Its file, for messages.

    Raises:
        ModelError: A constant holds NaN, or a weight infinity.
    """
    bad = []
    for name, value in sorted(model.graph.initializers.items()):
        if value.const_value is None or not value.const_value.dtype.is_floating_point():
            continue
        array = value.const_value.numpy().astype(np.float32)
        weighted = any(node.op_type in _WEIGHTED for node in value.consumers())
        if np.isnan(array).any() or (weighted and np.isinf(array).any()):
            bad.append(f"{name} ({int(np.count_nonzero(~np.isfinite(array)))} of {array.size})")
    if bad:
        raise ModelError(
            f"{len(bad)} weights hold values that are not finite numbers",
            where=where,
            why="first: " + ", ".join(bad[:5]),
            hint="take a checkpoint from before the training diverged, or download the file again",
        )
