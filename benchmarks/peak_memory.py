"""A process's own peak memory. `ru_maxrss` is no measure of it: a child starts with its parent's."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """The most that this process has held, MiB; NaN where the kernel does not say."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def reset_peak_mb() -> float:
    """Forget the peak so far; returns what the process holds now, MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()
