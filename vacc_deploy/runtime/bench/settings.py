"""What a benchmark is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vacc_deploy.cpu import cpu_count
from vacc_deploy.errors import ConfigError, VdeployError, raise_together
from vacc_deploy.runtime.latency import DEFAULT_PERCENTILES

if TYPE_CHECKING:  # reading files needs pydantic, measuring does not
    from vacc_deploy.config import VdspParams

Shapes: TypeAlias = tuple[tuple[int, ...], ...]
"""One shape per input, as `-s` gives them."""


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """The flags of `vdeploy bench`, resolved.

    Args:
        prefix: The artifact.
        vdsp: The vdsp operator before the network; with it pictures are fed, without it tensors.
        instances: Instances per process.
        processes: Processes.
        batch_size: Items per request.
        queue_size: Requests that may wait per instance; 0 is latency mode.
        iterations: Requests over all instances and processes; None: only time counts, 0: endless.
        seconds: How long to measure; None: only the number counts.
        warmup: Requests per instance before the clock starts.
        threads: CPU threads per inference; None shares the cores out between the instances.
        devices: Device ids, which the emulation only repeats.
        percentiles: Latency percentiles to report.
        shapes: `-s`: shape of each input without batch (pictures), or with it (token models).
        datalist: Text file that names one npz per line.
        path_output: Folder for the outputs of the datalist's files.
    """

    prefix: Path
    vdsp: VdspParams | None = None
    instances: int = 1
    processes: int = 1
    batch_size: int = 1
    queue_size: int = 1
    iterations: int | None = None
    seconds: float | None = None
    warmup: int = 2
    threads: int | None = None
    devices: tuple[int, ...] = (0,)
    percentiles: tuple[float, ...] = DEFAULT_PERCENTILES
    shapes: Shapes | None = None
    datalist: Path | None = None
    path_output: Path | None = None

    def __post_init__(self) -> None:
        limits = {
            "instances (-i)": self.instances,
            "processes (-p)": self.processes,
            "batch size (-b)": self.batch_size,
            "threads (--threads)": 1 if self.threads is None else self.threads,
        }
        wrong = [f"{name} must be at least 1, got {value}" for name, value in limits.items() if value < 1]
        if self.queue_size < 0:
            wrong.append(f"the queue size must not be negative, got {self.queue_size}")
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            wrong.append(f"the time (-t) must be a number of seconds, got {self.seconds:g}")
        if self.warmup < 0:
            wrong.append(f"the warm-up must not be negative, got {self.warmup}")
        if any(not 0 <= percent <= 100 for percent in self.percentiles):
            wrong.append(f"percentiles lie between 0 and 100, got {list(self.percentiles)}")
        problems: list[VdeployError] = [
            ConfigError(text, hint="vdeploy bench --help tells what each flag means") for text in wrong
        ]
        if self.path_output is not None and self.datalist is None:
            problems.append(
                ConfigError(
                    "--path_output needs --datalist: outputs of made-up input are of no use",
                    hint="write a datalist with `vdeploy npz`",
                )
            )
        raise_together(problems)

    @property
    def extent(self) -> str:
        """How much is measured, in words: ``64 requests``, ``5 s``, ``the datalist``."""
        limits = [f"{self.iterations} requests"] if self.iterations else []
        limits += [f"{self.seconds:g} s"] if self.seconds else []
        return " or ".join(limits) or "the datalist"

    @property
    def mode(self) -> str:
        """``latency`` where requests go one at a time, else ``throughput``."""
        return "throughput" if self.queue_size else "latency"

    @property
    def threads_per_instance(self) -> int:
        """CPU threads that each instance computes with."""
        if self.threads is not None:
            return self.threads
        return max(1, cpu_count() // (self.instances * self.processes))
