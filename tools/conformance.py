"""Run the ONNX backend node tests through compile-and-run and write ``docs/conformance.md``.

    python tools/conformance.py [--only PATTERN] [--output docs/conformance.md | -]

The `onnx` package makes the cases when it is asked to: one operator each, with inputs and the outputs
that the operator's definition gives. A case counts as supported when all its operators are on
`vacc_deploy.check.operators.SUPPORTED_OPERATORS` and its tensors are of a type that the product compiles.
Operators of already quantised models run in the form that the product takes, DequantizeLinear → operator
→ QuantizeLinear, and in integers.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conformance.node_cases import Outcome, Status, load_cases  # noqa: E402
from vacc_deploy.check.operators import SUPPORTED_OPERATORS, refusal  # noqa: E402

_SECONDS_PER_CASE = 120


def main() -> int:
    """Run, write the page, print a summary; 1 if a supported case does not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default="", help="regular expression on the cases' names")
    parser.add_argument("--output", default=str(ROOT / "docs" / "conformance.md"), help="- for stdout")
    arguments = parser.parse_args()
    names = [case.name for case in load_cases() if re.search(arguments.only, case.name)]
    outcomes = list(run_isolated(names))
    page = write_page(outcomes)
    if arguments.output == "-":
        print(page)
    else:
        Path(arguments.output).write_text(page)
    counts = Counter(outcome.status for outcome in outcomes)
    print(", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status]))
    bad = [o for o in outcomes if o.status in (Status.WRONG, Status.FAILED, Status.CRASHED)]
    for outcome in bad:
        print(f"  {outcome.status.value}: {outcome.name}: {outcome.reason}")
    return 1 if bad else 0


def run_isolated(names: list[str]) -> Iterable[Outcome]:
    """Every case's outcome, computed by worker processes: one that dies or hangs takes one case with it."""
    waiting = list(names)
    while waiting:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.worker"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write("\n".join(waiting) + "\n")
        worker.stdin.close()
        for line in worker.stdout:
            if not line.startswith("["):
                continue  # compiled code and libraries print, too
            outcome = Outcome.from_json(line)
            assert outcome.name == waiting.pop(0)
            yield outcome
            if len(waiting) % 50 == 0:
                print(f"{len(names) - len(waiting)} of {len(names)}", file=sys.stderr)
        if worker.wait() != 0 and waiting:
            yield Outcome(waiting.pop(0), (), Status.CRASHED, f"the process ended with {worker.returncode}")


def write_page(outcomes: list[Outcome]) -> str:
    """The page, deterministic: no date, no machine."""
    import onnx

    counts = Counter(outcome.status for outcome in outcomes)
    supported = [o for o in outcomes if o.status is not Status.UNSUPPORTED]
    lines = [
        "# Conformance with ONNX",
        "",
        "Written by `python tools/conformance.py`; do not edit.",
        "",
        f"The node tests of `onnx` {onnx.__version__} ({len(outcomes)} cases, function bodies left out),",
        "each compiled with `vacc_deploy` and run. Floats are stored as float32 here, so that the tests' own",
        "tolerances (rtol 1e-3, atol 1e-7) apply; weights, bounds, shapes and axes are constants, as they",
        "are in a network that is deployed. Operators of quantised models run in integers, in QDQ form.",
        "",
        "| | cases |",
        "|---|---|",
        f"| supported | {len(supported)} |",
        *(
            f"| … {status.value} | {counts[status]} |"
            for status in Status
            if status is not Status.UNSUPPORTED and counts[status]
        ),
        f"| not supported, listed below | {counts[Status.UNSUPPORTED]} |",
        "",
        "## Supported operators",
        "",
        "| operator | passed | cases |",
        "|---|---|---|",
    ]
    totals, passed = Counter[str](), Counter[str]()
    for outcome in supported:
        for operator in outcome.operators:
            totals[operator] += 1
            passed[operator] += outcome.status is Status.PASSED
    lines += [f"| {name} | {passed[name]} | {totals[name]} |" for name in sorted(totals)]
    untested = sorted(SUPPORTED_OPERATORS - set(totals))
    lines += [
        "",
        f"Supported without a node test that fits: {', '.join(untested) or 'none'};",
        "each is compiled and compared with its formula in `tests/conformance/test_without_node_tests.py`.",
    ]
    bad = [o for o in supported if o.status is not Status.PASSED]
    if bad:
        lines += ["", "## Supported and not passed", "", "| case | outcome | reason |", "|---|---|---|"]
        lines += [f"| {o.name} | {o.status.value} | {_cell(o.reason)} |" for o in bad]
    lines += ["", "## Not supported", "", "| operator | reason | cases |", "|---|---|---|"]
    groups: dict[tuple[str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.status is Status.UNSUPPORTED:
            groups.setdefault((", ".join(outcome.operators), outcome.reason), []).append(outcome.name)
    for (operators, reason), names in sorted(groups.items()):
        shown = " ".join(name.removeprefix("test_") for name in sorted(names))
        lines.append(f"| {operators} | {_cell(reason)} | {shown} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


__all__ = ["refusal", "run_isolated", "write_page"]

if __name__ == "__main__":
    sys.exit(main())
