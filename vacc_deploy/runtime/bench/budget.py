"""How many requests a benchmark still owes, shared by all its instances and processes."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Counter(Protocol):
    """A number with a lock: a `multiprocessing.Value`, or a `LocalCounter` where one process is enough."""

    value: Any

    def get_lock(self) -> AbstractContextManager[Any]:
        """The lock that guards `value`."""


class LocalCounter:
    """The counter of a benchmark with one process."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def get_lock(self) -> threading.Lock:
        """The lock that guards `value`."""
        return self._lock


class Budget:
    """Hands out request numbers 0, 1, 2 … until the number or the time is used up.

    Args:
        taken: How many are handed out, shared between the processes.
        requests: How many there are; None means no limit.
        seconds: For how long after `start`; None means no limit. One request per asker is always granted.
    """

    def __init__(self, taken: Counter, requests: int | None, seconds: float | None) -> None:
        self._taken = taken
        self._requests = requests
        self._seconds = seconds
        self._deadline: float | None = None
        self._stopped = False

    def start(self) -> None:
        """Let the time run."""
        if self._seconds is not None:
            self._deadline = time.perf_counter() + self._seconds

    def stop(self) -> None:
        """Grant nothing more in this process: an instance failed, or the user has seen enough."""
        self._stopped = True

    def take(self, first: bool = False) -> int | None:
        """The next request's number; None when there is none left.

        Args:
            first: The asker has not had any, so the time limit does not apply.
        """
        if self._stopped:
            return None
        if not first and self._deadline is not None and time.perf_counter() >= self._deadline:
            return None
        with self._taken.get_lock():
            number = int(self._taken.value)
            if self._requests is not None and number >= self._requests:
                return None
            self._taken.value = number + 1
            return number
