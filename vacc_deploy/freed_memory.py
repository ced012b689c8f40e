"""Gives memory that was freed back to the system."""

from __future__ import annotations

import ctypes


def return_freed_memory() -> None:
    """Shrink the heap to what is in use.

    glibc keeps blocks of up to 32 MB for itself once some have been freed, and a network's weights are
    hundreds of such blocks: each stage that copied them would add a copy to the peak of the stages after it.
    Where the C library has no such call, nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
