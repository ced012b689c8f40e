"""Interleaved measurement: in every round each contender runs once, so that all see the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence

from contenders import Contender, Timing

_SPAN_MS = 30.0  # of one contender's turn: long beside the clock's resolution, short beside the load's drift
_REST_S = 0.02  # worker threads spin for a while after a parallel region; they must not disturb the next turn


def measure(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Timing]]:
    """Timings of every contender, one per round, in the same order.

    The first of a round changes from round to round.
    """
    repetitions = {
        name: max(1, round(_SPAN_MS / max(contender.run(1).cpu_ms, 0.01)))
        for name, contender in contenders.items()
    }
    names = list(contenders)
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            time.sleep(_REST_S)
            timings[name].append(contenders[name].run(repetitions[name]))
    return timings


def values(timings: Sequence[Timing], *, cpu: bool) -> list[float]:
    """CPU or wall milliseconds."""
    return [timing.cpu_ms if cpu else timing.wall_ms for timing in timings]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the rounds of ours/theirs: a slow moment of the machine slows both sides of a round."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
