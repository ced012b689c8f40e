"""Cards and dies, as one emulated card with one die: this computer's processor."""

from __future__ import annotations

import os
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from vacc_deploy.cpu import cpu_name

_state = threading.local()


class Context:
    """Where memory lies; the emulation has only this computer's."""

    @staticmethod
    def CPU() -> int:  # noqa: N802 — the vendor's spelling
        """A context that may stand where a device id is asked for."""
        return -1

    @staticmethod
    def VACC(device_id: int = 0) -> int:  # noqa: N802 — the vendor's spelling
        """The context of a device."""
        return device_id


def set_device(device_id: int) -> int:
    """Choose the calling thread's device; returns 0, the vendor's "done".

    Every id is served by the same processor; an id other than 0 is accepted with a warning, so that scripts
    written for several dies run.
    """
    if device_id < 0:
        return -1
    if device_id > 0:
        warnings.warn(
            f"device {device_id} is emulated by the same CPU as device 0: it adds no speed", stacklevel=2
        )
    _state.device_id = device_id
    return 0


def get_device() -> int:
    """The calling thread's device id."""
    return int(getattr(_state, "device_id", 0))


@dataclass(frozen=True)
class Die:
    """Telemetry of a die: what this computer really tells, and NaN where it tells nothing.

    Args:
        device_id: The id that `set_device` takes.
    """

    device_id: int = 0

    @property
    def temperature(self) -> dict[str, list[float]]:
        """``temperature``: the processor's thermal zones, in 0.01 °C."""
        zones = [_read_number(path) for path in sorted(Path("/sys/class/thermal").glob("thermal_zone*/temp"))]
        return {"temperature": [zone / 10 for zone in zones] or [float("nan")]}

    @property
    def power(self) -> dict[str, list[float]]:
        """``power``: four rails in µW. No rail of a card exists here, so all are NaN."""
        return {"power": [float("nan")] * 4}

    @property
    def memory(self) -> dict[str, float]:
        """``total``, ``free`` and ``used`` of main memory in bytes, ``usage_rate`` in percent."""
        total, free = _main_memory()
        return {"total": total, "free": free, "used": total - free, "usage_rate": 100 * (1 - free / total)}

    @property
    def utilization(self) -> dict[str, float | list[float]]:
        """Percent in use: ``ai`` and ``vdsp`` share the CPU; there is no codec (``vdmcu``, ``vemcu``)."""
        load = min(100.0, 100 * os.getloadavg()[0] / (os.cpu_count() or 1))
        return {"ai": load, "vdsp": [load], "vdmcu": [0.0], "vemcu": [0.0]}


@dataclass(frozen=True)
class Card:
    """A card: its identity and its dies."""

    uuid: str = "emulated-0"
    card_type: str = field(default_factory=lambda: f"vdeploy emulation on {cpu_name()}, not a card")
    dies: tuple[Die, ...] = (Die(0),)


def get_all_cards_count() -> int:
    """1: the emulated card."""
    return 1


def get_all_cards() -> list[Card]:
    """The emulated card."""
    return [Card()]


def _read_number(path: Path) -> float:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return float("nan")


def _main_memory() -> tuple[int, int]:
    """Total and available main memory, bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return total, page * os.sysconf("SC_AVPHYS_PAGES")
    fields = dict(line.split(":", 1) for line in lines)
    return total, 1024 * int(fields["MemAvailable"].split()[0])
