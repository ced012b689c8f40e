"""One instance under load: submit, time, collect."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from vacc_deploy.runtime.bench.budget import Budget
from vacc_deploy.runtime.bench.source import Source
from vacc_deploy.runtime.latency import Span
from vacc_deploy.runtime.stream import RunStream, StreamResult

Sink = Callable[[int, StreamResult], None]
"""Called with a request's number and its result."""


def drive(stream: RunStream, source: Source, budget: Budget, sink: Sink | None, wait_for_each: bool) -> Span:
    """Keep one stream busy until the budget is used up.

    A request's time runs from the moment it is offered to the stream (so it includes waiting for room in the
    queue, as in the vendor's programs) to its result. Reading input and writing results is not in it.

    Args:
        stream: The instance.
        source: Makes requests.
        budget: Grants them.
        sink: Gets the results in order.
        wait_for_each: Latency mode: the next request is made when the last result is there.
    """
    ticks: list[int] = []
    tocks: dict[int, int] = {}
    pending: deque[tuple[int, Future[StreamResult]]] = deque()
    items = 0

    def collect(wait: bool) -> None:
        while pending and (wait or pending[0][1].done()):
            number, future = pending.popleft()
            result = future.result()
            if sink is not None:
                sink(number, result)

    begin = time.perf_counter_ns()
    while (number := budget.take(first=not ticks)) is not None:
        request = source.request(number)
        index = len(ticks)
        ticks.append(time.perf_counter_ns())

        def note_end(_: Future[StreamResult], index: int = index) -> None:
            tocks[index] = time.perf_counter_ns()

        future = stream.submit(request)
        future.add_done_callback(note_end)
        items += len(request)
        pending.append((number, future))
        collect(wait=wait_for_each)
    collect(wait=True)
    stream.drain()  # a future wakes its reader a moment before it calls `note_end`
    end = max(tocks.values(), default=begin)
    return Span(begin, end, items, tuple(tocks[index] - tick for index, tick in enumerate(ticks)))
