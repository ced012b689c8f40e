"""How our time grows: with image area, batch, threads and instances.

    python benchmarks/scaling.py --json scaling.json

Area and batch are measured in CPU time with one thread; threads and instances in wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contenders import Contender
from networks import find_network
from prepare import prepare
from rounds import measure, values

_SIDES = (64, 128, 256)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="vdsr", help="a recipe that exists at any size")
    parser.add_argument("--dtype", default="int8", choices=["int8", "fp16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workspace", type=Path, default=Path(tempfile.gettempdir()) / "vdeploy-benchmarks")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args(arguments)
    prefixes = {}
    for side in _SIDES:
        network = find_network(f"{options.model}@{side}x{side}", options.workspace)
        prepare(network, nncf=False)
        prefixes[side] = network.artifact(options.dtype)
    result: dict[str, Any] = {"model": options.model, "dtype": options.dtype}
    result["area"] = _by_area(prefixes, options.rounds)
    largest = prefixes[_SIDES[-1]]
    result["batch"] = _by_batch(largest, options.rounds)
    result["threads"] = _by_threads(largest, options.rounds)
    result["instances"] = _by_instances(largest, options.rounds)
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _by_area(prefixes: dict[int, Path], rounds: int) -> list[dict[str, float]]:
    contenders = {str(side): Contender("ours", prefix, 1) for side, prefix in prefixes.items()}
    timings = measure(contenders, rounds)
    rows = []
    for side, contender in zip(prefixes, contenders.values(), strict=True):
        cpu_ms = statistics.median(values(timings[str(side)], cpu=True))
        rows.append({"side": side, "cpu_ms": cpu_ms, "ns_per_pixel": cpu_ms * 1e6 / side**2,
                     "peak_mb": contender.loading.peak_mb})  # fmt: skip
        contender.close()
    return rows


def _by_batch(prefix: Path, rounds: int) -> list[dict[str, float]]:
    contenders = {str(batch): Contender("ours", prefix, 1, batch=batch) for batch in (1, 2, 4)}
    timings = measure(contenders, rounds)
    for contender in contenders.values():
        contender.close()
    return [
        {"batch": int(name), "cpu_ms": statistics.median(values(taken, cpu=True))}
        for name, taken in timings.items()
    ]


def _by_threads(prefix: Path, rounds: int) -> list[dict[str, float]]:
    from vacc_deploy.cpu import cpu_count

    contenders = {str(threads): Contender("ours", prefix, threads) for threads in range(1, cpu_count() + 1)}
    timings = measure(contenders, rounds)
    for contender in contenders.values():
        contender.close()
    return [
        {"threads": int(name), "wall_ms": statistics.median(values(taken, cpu=False)),
         "cpu_ms": statistics.median(values(taken, cpu=True))}
        for name, taken in timings.items()
    ]  # fmt: skip


def _by_instances(prefix: Path, rounds: int) -> list[dict[str, float]]:
    """Inferences per second of several one-thread instances that run at the same time."""
    from vacc_deploy.cpu import cpu_count

    rows = []
    for count in range(1, cpu_count() + 1):
        instances = [Contender("ours", prefix, 1) for _ in range(count)]
        rates = []
        with ThreadPoolExecutor(count) as pool:
            for _ in range(rounds):
                started = time.perf_counter()
                for running in [pool.submit(instance.run, 2) for instance in instances]:
                    running.result()
                rates.append(count * 3 / (time.perf_counter() - started))  # the warm-up inference counts, too
        rows.append({"instances": count, "per_second": statistics.median(rates)})
        for instance in instances:
            instance.close()
    return rows


if __name__ == "__main__":
    sys.exit(main())
