"""Keeps PyTorch out of a process that has no use for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_torch() -> Iterator[None]:
    """Within it ``import torch`` fails as where PyTorch is not installed, unless it is loaded already.

    TVM and onnxsim import it wherever they find it, for bridges that nothing here crosses: more than two
    seconds of a command's start.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]
