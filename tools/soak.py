"""A run stream under load for minutes: does it keep its speed, its memory, and every result?

    python tools/soak.py PREFIX [--minutes 10] [--instances 2] [--producers 3] [--seed 0]

Several producers submit inputs whose outputs are known beforehand.  Every result must be the one of its own
input, bit for bit; none may be missing; throughput and resident memory of the last third must be those of the
first.  Exit code 1 if any of it fails.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.artifact import read_artifact
from vacc_deploy.runtime.instances import load_models
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.stream import RunStream, StreamResult

_KNOWN_INPUTS = 61  # a prime: producers that stride through them meet in ever new orders
_SAMPLE_S = 1.0
_MAX_GROWTH_BYTES = 8 << 20
_MAX_SLOWDOWN = 0.2
_WARM_UP = 0.1  # share of the time that is not judged

Arrays = list[npt.NDArray[Any]]


@dataclass
class Tally:
    """What the producers saw together."""

    submitted: int = 0
    right: int = 0
    wrong: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Sample:
    """One second of the run."""

    results: int
    processor_s: float
    resident_bytes: int


def known_answers(model: Model, seed: int) -> list[tuple[Arrays, Arrays]]:
    """Inputs that differ from each other, and the outputs of a model that nobody else uses."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(_KNOWN_INPUTS):
        inputs = [generator.random(spec.shape).astype(spec.dtype) for spec in model.inputs]
        pairs.append((inputs, [output.copy() for output in model.run(inputs)]))
    return pairs


def produce(
    stream: RunStream, answers: list[tuple[Arrays, Arrays]], seed: int, stop: threading.Event, tally: Tally
) -> None:
    """Submit known inputs in a random order and check each result against its own."""
    generator = np.random.default_rng(seed)
    waiting: deque[tuple[Future[StreamResult], Arrays]] = deque()

    def check_oldest() -> None:
        future, expected = waiting.popleft()
        outputs = future.result().outputs[0]
        right = all(np.array_equal(got, want) for got, want in zip(outputs, expected, strict=True))
        with tally.lock:
            tally.right += right
            tally.wrong += not right

    while not stop.is_set():
        inputs, expected = answers[int(generator.integers(len(answers)))]
        waiting.append((stream.submit([inputs]), expected))
        with tally.lock:
            tally.submitted += 1
        if len(waiting) > 4:
            check_oldest()
    while waiting:
        check_oldest()


def resident_bytes() -> int:
    """Memory of this process that lies in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(
    prefix: Path, minutes: float, instances: int, producers: int, seed: int
) -> tuple[Tally, list[Sample]]:
    """Load a run stream for some minutes; returns the tally and one sample per second."""
    models = load_models(prefix, instances + 1, threads=1)
    answers = known_answers(models.pop(), seed)
    tally, samples, stop = Tally(), [], threading.Event()
    with RunStream(models, queue_size=2) as stream:
        workers = [
            threading.Thread(target=produce, args=(stream, answers, seed + 1 + index, stop, tally))
            for index in range(producers)
        ]
        for worker in workers:
            worker.start()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            before, clock = tally.right, time.process_time()
            time.sleep(_SAMPLE_S)
            samples.append(Sample(tally.right - before, time.process_time() - clock, resident_bytes()))
        stop.set()
        for worker in workers:
            worker.join()
    gc.collect()
    return tally, samples


def judge(tally: Tally, samples: list[Sample]) -> list[str]:
    """What is wrong; prints the figures."""
    steady = samples[int(len(samples) * _WARM_UP) :]
    third = max(len(steady) // 3, 1)
    first, last = steady[:third], steady[-third:]
    # Per second of processor time: other programs on the machine must not fail the run.
    rates = [
        sum(sample.results for sample in part) / sum(sample.processor_s for sample in part)
        for part in (first, last)
    ]
    wall = [float(np.median([sample.results for sample in part])) / _SAMPLE_S for part in (first, last)]
    memory = [float(np.median([sample.resident_bytes for sample in part])) for part in (first, last)]
    lost = tally.submitted - tally.right - tally.wrong
    print(
        f"requests     {tally.submitted} submitted, {tally.right} right, {tally.wrong} swapped, {lost} lost"
    )
    print("first third, then last third:")
    print(f"throughput   {rates[0]:.1f} then {rates[1]:.1f} results per second of processor time")
    print(f"             {wall[0]:.1f} then {wall[1]:.1f} results/s by the clock")
    print(f"memory       {memory[0] / 2**20:.1f} then {memory[1] / 2**20:.1f} MiB resident")
    problems = []
    if lost or tally.wrong or not tally.right:
        problems.append("results were lost or swapped")
    if rates[1] < (1 - _MAX_SLOWDOWN) * rates[0]:
        problems.append("throughput fell")
    if memory[1] > memory[0] + _MAX_GROWTH_BYTES:
        problems.append("memory grew")
    return problems


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prefix", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--instances", type=int, default=2)
    parser.add_argument("--producers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"soaking {read_artifact(options.prefix).manifest.name} for {options.minutes:g} minutes")
    problems = judge(
        *soak(options.prefix, options.minutes, options.instances, options.producers, options.seed)
    )
    print("; ".join(problems) or "steady")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
