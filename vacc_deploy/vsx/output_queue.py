"""The queue behind `get_operator_output`: results in the order of the inputs, `ValueError` after the last."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import ClassVar

from vacc_deploy.runtime.stream import StreamResult

_LOOK_AROUND_S = 0.25  # how often a waiting reader checks whether anybody is left to write


class OutputQueue:
    """Futures of one registered output, first in, first out.

    1. `get` waits for the next result; after `close` and the last result it raises `ValueError`, which is
       what scripts end their reading loops with.
    2. A reader that waits when the main thread has ended and no other thread could still submit gets the
       `ValueError` too: scripts that crash would otherwise hang in the interpreter's exit.
    3. `wait_for_room` holds a producer back while more than `limit` results lie unread, but only if another
       thread reads this output: a script that submits everything first and reads afterwards must not hang.
    """

    _waiting: ClassVar[set[int]] = set()  # idents of threads waiting in any queue of the process

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._futures: deque[Future[StreamResult]] = deque()
        self._closed = False
        self._changed = threading.Condition()
        self._reader: threading.Thread | None = None

    def put(self, future: Future[StreamResult]) -> None:
        """Append the result of the request accepted last."""
        with self._changed:
            self._futures.append(future)
            self._changed.notify_all()

    def get(self) -> StreamResult:
        """The next result.

        Raises:
            ValueError: The input is closed and every result was read.
        """
        ident = threading.get_ident()
        with self._changed:
            self._reader = threading.current_thread()
            self._waiting.add(ident)
            try:
                while not self._futures:
                    if self._closed:
                        raise ValueError("stream closed: its input is closed and every output was read")
                    if not self._changed.wait(_LOOK_AROUND_S) and nobody_can_submit(self._waiting):
                        raise ValueError("stream closed: the program ended without closing its input")
            finally:
                self._waiting.discard(ident)
            future = self._futures.popleft()
            self._changed.notify_all()
        return future.result()

    def wait_for_room(self) -> None:
        """Wait while the reading thread is more than `limit` results behind."""
        with self._changed:
            while self._is_behind():
                self._changed.wait(_LOOK_AROUND_S)

    def close(self) -> None:
        """Announce that nothing will be put any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._futures)

    def _is_behind(self) -> bool:
        reader = self._reader
        return (
            not self._closed
            and len(self._futures) >= self._limit
            and reader is not None
            and reader is not threading.current_thread()
            and reader.is_alive()
        )


def nobody_can_submit(waiting: set[int]) -> bool:
    """Whether the main thread has ended and every thread that keeps the process alive waits for output."""
    main = threading.main_thread()
    if main.is_alive():
        return False
    return all(thread.daemon or thread is main or thread.ident in waiting for thread in threading.enumerate())
