"""The benchmark over one process or several, which start measuring together and share one budget."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from vacc_deploy.errors import RunError, VdeployError
from vacc_deploy.runtime.bench.benchmark import Benchmark
from vacc_deploy.runtime.bench.budget import Budget, LocalCounter
from vacc_deploy.runtime.bench.settings import BenchSettings
from vacc_deploy.runtime.latency import Profile, Span

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier


def run_bench(settings: BenchSettings, note: Callable[[str], None] = lambda text: None) -> Profile:
    """Load, warm up, measure.

    Args:
        settings: What to do.
        note: Told what is going on, for a progress line.

    Raises:
        VdeployError: What any instance of any process met first.
    """
    if settings.processes == 1:
        note(
            f"loading {settings.prefix}, {settings.warmup} warm-up requests per instance, "
            f"then {settings.extent}"
        )
        benchmark = Benchmark(settings)
        try:
            benchmark.warm_up()
            spans = benchmark.measure(Budget(LocalCounter(), benchmark.requests, settings.seconds))
        finally:
            benchmark.close()
    else:
        note(f"starting {settings.processes} processes with {settings.prefix}, then {settings.extent}")
        spans = _measure_in_processes(settings)
    if not spans:
        raise RunError("nothing was measured: the budget of requests is empty", hint="raise --iterations")
    return Profile(
        mode=settings.mode,
        instances=settings.instances,
        processes=settings.processes,
        devices=settings.devices,
        queue_size=settings.queue_size,
        batch_size=settings.batch_size,
        spans=tuple(spans),
        percentiles=settings.percentiles,
    )


def _measure_in_processes(settings: BenchSettings) -> list[Span]:
    # Spawned, not forked: a fork would copy a thread pool without its threads.
    context = multiprocessing.get_context("spawn")
    taken = context.Value("q", 0)
    ready = context.Barrier(settings.processes)
    links: list[Connection] = []
    children = []
    try:
        for index in range(settings.processes):
            ours, theirs = context.Pipe(duplex=False)
            child = context.Process(
                target=_child, args=(settings, taken, ready, theirs), name=f"bench-{index}", daemon=True
            )
            child.start()
            theirs.close()
            links.append(ours)
            children.append(child)
        by_link = dict(zip(links, children, strict=True))
        spans: list[Span] = []
        while by_link:  # whoever has something to say first: an error must not wait for the others
            for link in wait(list(by_link)):
                assert isinstance(link, Connection)
                spans += _receive(link, by_link.pop(link))
        return spans
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.join()


def _receive(link: Connection, child: Any) -> list[Span]:
    try:
        answer = link.recv()
    except EOFError:
        child.join()
        raise RunError(
            f"a benchmark process ended early (exit code {child.exitcode})",
            why="killed by the system" if (child.exitcode or 0) < 0 else None,
            hint="try fewer processes: each one holds its own copy of the network",
        ) from None
    if isinstance(answer, list):
        return answer
    kind, fields = answer
    raise kind(**fields)


def _child(settings: BenchSettings, taken: Any, ready: Barrier, link: Connection) -> None:
    try:
        benchmark = Benchmark(settings)
        benchmark.warm_up()
        ready.wait()
        spans = benchmark.measure(Budget(taken, benchmark.requests, settings.seconds))
        link.send(spans)
        benchmark.close()
    except KeyboardInterrupt:
        return
    except VdeployError as error:
        ready.abort()
        link.send(
            (RunError if type(error).__init__ is not VdeployError.__init__ else type(error), _fields(error))
        )
    except threading.BrokenBarrierError:
        return  # another process failed first and tells why
    finally:
        link.close()


def _fields(error: VdeployError) -> dict[str, str | None]:
    return {"what": error.what, "where": error.where, "why": error.why, "hint": error.hint}
