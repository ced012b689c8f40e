"""Runs the cases whose names come on stdin and prints an outcome per line."""

from __future__ import annotations

import sys

from tests.conformance.node_cases import load_cases, run_case


def main() -> None:
    """One line per case, in order."""
    cases = {case.name: case for case in load_cases()}
    for line in sys.stdin:
        print(run_case(cases[line.strip()]).to_json(), flush=True)


if __name__ == "__main__":
    main()
