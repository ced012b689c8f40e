"""Padding of codes: data movement, with 0.0 written as the zero point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ModelError

Array = npt.NDArray[Any]
PadMode = Literal["constant", "reflect", "edge"]


def pad(x: Array, pads: Sequence[int], *, mode: PadMode = "constant", fill: int = 0) -> Array:
    """ONNX ``Pad`` on codes.

    Args:
        x: Codes of rank R.
        pads: 2·R numbers, all beginnings then all ends; negative ones crop.
        mode: ``constant``, ``reflect`` (the border is not repeated) or ``edge``.
        fill: Code of the constant: the zero point for 0.0.

    Returns:
        Codes of the dtype of `x`.

    Raises:
        ModelError: The mode is unknown.
    """
    rank = x.ndim
    begins, ends = list(pads[:rank]), list(pads[rank:])
    crop = tuple(slice(max(-b, 0), n - max(-e, 0)) for b, e, n in zip(begins, ends, x.shape, strict=True))
    width = [(max(b, 0), max(e, 0)) for b, e in zip(begins, ends, strict=True)]
    inner = x[crop]
    if mode == "constant":
        return np.pad(inner, width, constant_values=fill)
    if mode == "reflect":
        return np.pad(inner, width, mode="reflect")
    if mode == "edge":
        return np.pad(inner, width, mode="edge")
    raise ModelError(f"padding mode {mode!r} is not known", where="pad", hint="constant, reflect or edge")
