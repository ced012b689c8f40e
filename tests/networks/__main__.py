"""``python -m tests.networks --count 300 --seed 0``: random networks on every instruction set."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.networks.compare import RUNNABLE, compare
from tests.networks.generator import random_network


def main() -> int:
    """Print a line per network that differs, progress, and a summary; 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.networks", description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the first network; the others count up")
    parser.add_argument("--target", action="append", help="instead of all that this machine runs")
    parser.add_argument("--verbose", action="store_true", help="a line for every network")
    arguments = parser.parse_args()
    targets = tuple(t for t in RUNNABLE if not arguments.target or t.name in arguments.target)
    exact = floats = failed = 0
    worst = 0.0
    engines: dict[str, int] = {}
    started = time.monotonic()
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        network = None
        try:
            network = random_network(seed)
            found = compare(network, targets)
            problems = found.problems
            exact, floats = exact + found.exact, floats + found.floats
            worst = max(worst, found.worst_float)
            for engine, count in found.engines.items():
                engines[engine] = engines.get(engine, 0) + count
        except Exception as error:  # one network's crash must not hide the others
            problems = [f"{type(error).__name__}: {error}".strip()]
            if arguments.verbose:
                traceback.print_exc()
        failed += bool(problems)
        if problems or arguments.verbose:
            print(f"{seed}: {'FAILED' if problems else 'ok'}  {network.summary if network else ''}")
        for line in problems:
            print(f"    {line}")
        done = seed - arguments.seed + 1
        if done % 10 == 0:
            print(f"{done} networks, {failed} failed, {time.monotonic() - started:.0f} s", file=sys.stderr)
        sys.stdout.flush()
    print(
        f"{arguments.count} networks from seed {arguments.seed} on {', '.join(t.name for t in targets)}: "
        f"{failed} failed, {exact} integer results equal, {floats} float results within bounds "
        f"(worst {worst:.1e}); steps: {', '.join(f'{n} {name}' for name, n in sorted(engines.items()))}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
