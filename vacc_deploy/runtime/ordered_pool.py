"""Worker threads behind a bounded queue: what a run stream's concurrency consists of."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from vacc_deploy.errors import RunError

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class OrderedPool(Generic[Job, Answer]):
    """Threads that take jobs in the order of their arrival; each job has its own future.

    1. `submit` blocks while `queue_size` jobs wait: that is the back-pressure a producer feels.
    2. Jobs start in the order in which `submit` accepted them. With one worker they also end in that order;
       with several, a reader who wants order waits for the futures in order.
    3. An error goes to the future of the job that raised it, and to no other; the pool keeps working.
    4. After `close` no job is accepted; the accepted ones are finished.
    5. A process forked off has none of the threads: using the pool there is an error, not a wait for ever.

    Args:
        workers: One function per thread; each is only ever called by its own thread.
        queue_size: Jobs that may wait besides those being worked on, at least 1.
        name: Name of the threads, for debuggers.
    """

    def __init__(
        self, workers: Sequence[Callable[[Job], Answer]], queue_size: int = 1, name: str = "stream"
    ) -> None:
        if not workers or queue_size < 1:
            raise RunError(
                f"a stream needs at least one instance and a queue of at least one, "
                f"got {len(workers)} and {queue_size}"
            )
        self._queue_size = queue_size
        self._waiting: deque[tuple[Job, Future[Answer]]] = deque()
        self._unfinished = 0
        self._closed = False
        self._changed = threading.Condition()
        self._process = os.getpid()
        # Daemons: a program that ends without closing its stream must not hang in the interpreter's exit.
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"{name}-{index}", daemon=True)
            for index, worker in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, on_accept: Callable[[Future[Answer]], None] | None = None) -> Future[Answer]:
        """The future of `job`'s answer, once the queue had room for it.

        Args:
            job: What a worker will be called with.
            on_accept: Called with the future at the moment of acceptance, before any later job is accepted;
                two producers therefore see one order.

        Raises:
            RunError: The pool is closed, or another process made it.
        """
        self._require_own_process()
        future: Future[Answer] = Future()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._queue_size)
            if self._closed:
                raise RunError("the stream is closed and takes no more input")
            self._waiting.append((job, future))
            self._unfinished += 1
            if on_accept is not None:
                on_accept(future)
            self._changed.notify_all()
        return future

    def close(self) -> None:
        """Accept no more jobs; those accepted are still answered. Returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until every accepted job is answered.

        Raises:
            RunError: Another process made the pool.
        """
        self._require_own_process()
        with self._changed:
            self._changed.wait_for(lambda: self._unfinished == 0)

    def join(self) -> None:
        """Close, and wait until every job is answered and every thread has ended."""
        self.close()
        for thread in self._threads:
            thread.join()

    @property
    def size(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _require_own_process(self) -> None:
        if os.getpid() != self._process:
            raise RunError(
                "the stream was made before this process was forked off: its threads are not here",
                hint="load the model and build the stream in the process that uses them",
            )

    def _work(self, worker: Callable[[Job], Answer]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                job, future = self._waiting.popleft()
                self._changed.notify_all()
            try:
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(worker(job))
                    except BaseException as error:
                        future.set_exception(error)
            finally:
                # An idle thread must not keep the last picture alive.
                del job, future
                with self._changed:
                    self._unfinished -= 1
                    self._changed.notify_all()
