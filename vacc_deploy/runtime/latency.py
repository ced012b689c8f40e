"""Latency and throughput as the vendor's profiling programs define and print them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DEFAULT_PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Latency:
    """Latencies of requests in whole microseconds, truncated as the vendor truncates."""

    avg_us: int
    min_us: int
    max_us: int
    percentiles_us: dict[float, int]

    @classmethod
    def of(cls, durations_ns: Sequence[int], percentiles: Sequence[float] = DEFAULT_PERCENTILES) -> Latency:
        """Summarise durations; percentiles interpolate linearly between the two nearest.

        Args:
            durations_ns: One per request, at least one, nanoseconds.
            percentiles: Which, 0 to 100.
        """
        durations_us = np.asarray(durations_ns, np.float64) / 1e3
        values = np.percentile(durations_us, [0, 100, *percentiles]).astype(np.int64).tolist()
        return cls(
            avg_us=int(durations_us.mean()),
            min_us=values[0],
            max_us=values[1],
            percentiles_us=dict(zip(percentiles, values[2:], strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """What one instance did: from its first request to its last result, and how long each request took.

    Times are `time.perf_counter_ns` readings, which on one machine are comparable between processes.
    """

    begin_ns: int
    end_ns: int
    items: int
    durations_ns: tuple[int, ...]

    @property
    def qps(self) -> float:
        """Items per second while this instance worked."""
        return self.items * 1e9 / max(1, self.end_ns - self.begin_ns)


@dataclass(frozen=True, slots=True)
class Profile:
    """One measured setting: the block that `*_prof` programs print.

    Args:
        mode: ``throughput`` (requests queue) or ``latency`` (one at a time).
        instances: Instances per process.
        processes: Processes.
        devices: Device ids as given.
        queue_size: Requests that may wait per instance; 0 in latency mode.
        batch_size: Items per request.
        spans: One per instance of every process.
        percentiles: Which percentiles to report.
    """

    mode: str
    instances: int
    processes: int
    devices: tuple[int, ...]
    queue_size: int
    batch_size: int
    spans: tuple[Span, ...]
    percentiles: tuple[float, ...] = DEFAULT_PERCENTILES

    @property
    def qps(self) -> float:
        """Items per second, summed over the instances: the vendor's definition."""
        return sum(span.qps for span in self.spans)

    @property
    def wall_qps(self) -> float:
        """All items by the time from the first request to the last result: never flattered by stragglers."""
        elapsed_ns = max(span.end_ns for span in self.spans) - min(span.begin_ns for span in self.spans)
        return sum(span.items for span in self.spans) * 1e9 / max(1, elapsed_ns)

    @property
    def requests(self) -> int:
        """Number of requests measured."""
        return sum(len(span.durations_ns) for span in self.spans)

    @property
    def latency(self) -> Latency:
        """Latencies over all instances."""
        return Latency.of([ns for span in self.spans for ns in span.durations_ns], self.percentiles)

    def to_text(self) -> str:
        """The block, field by field as the vendor prints it; processes are named where there are several."""
        latency = self.latency
        lines = [f"- number of instances: {self.instances}"]
        if self.processes > 1:
            lines.append(f"  number of processes: {self.processes}")
        lines += [
            f"  devices: {list(self.devices)}",
            f"  queue size: {self.queue_size}",
            f"  batch size: {self.batch_size}",
            f"  throughput (qps): {self.qps:.2f}",
            "  latency (us):",
            f"    avg latency: {latency.avg_us}",
            f"    min latency: {latency.min_us}",
            f"    max latency: {latency.max_us}",
        ]
        lines += [f"    p{percent:g} latency: {value}" for percent, value in latency.percentiles_us.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON-ready dict."""
        latency = self.latency
        return {
            "mode": self.mode,
            "instances": self.instances,
            "processes": self.processes,
            "devices": list(self.devices),
            "queue_size": self.queue_size,
            "batch_size": self.batch_size,
            "requests": self.requests,
            "throughput_qps": round(self.qps, 4),
            "wall_throughput_qps": round(self.wall_qps, 4),
            "latency_us": {
                "avg": latency.avg_us,
                "min": latency.min_us,
                "max": latency.max_us,
                **{f"p{percent:g}": value for percent, value in latency.percentiles_us.items()},
            },
        }
