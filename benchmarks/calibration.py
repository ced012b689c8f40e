"""What calibration costs beside ONNX Runtime's percentile calibration, on the same float file and pictures.

    python benchmarks/calibration.py                # VDSR, LESRCNN x4; rewrites its table in docs/accuracy.md
    python benchmarks/calibration.py --only vdsr --rounds 1

Every measurement is a process of its own that imports, loads the model and reads the pictures before the
clock starts; the two take turns. Ours is everything from the float model to the calibration table in the
default mode, theirs `quantize_static`. Memory is the peak of the process above what it held at that moment.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accuracy import NETWORKS, PAGE, ROOT, Bench
from peak_memory import peak_mb

from vacc_deploy.cpu import cpu_count

_DEFAULT = ("vdsr", "lesrcnn x4")
_PICTURES = 5
_CONTENDERS = ("ours", "ONNX Runtime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and rewrite the table; returns the exit code."""
    options = _parse(arguments)
    if options.contender:
        print(json.dumps(_measure(options)))
        return 0
    lines = [
        "| network, pictures | ours s | CPU s | ONNX Runtime s | CPU s | ours/theirs, CPU | "
        "ours MB | announced MB | ONNX Runtime MB |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in options.only or _DEFAULT:
        rounds = [[_in_process(name, who, options) for who in _CONTENDERS] for _ in range(options.rounds)]
        lines.append(_line(name, [mine for mine, _ in rounds], [other for _, other in rounds]))
        print(lines[-1], file=sys.stderr, flush=True)
    begin, end = "<!-- cost: begin -->", "<!-- cost: end -->"
    head, rest = PAGE.read_text().split(begin)
    PAGE.write_text(head + begin + "\n" + "\n".join(lines) + "\n" + end + rest.split(end)[1])
    return 0


def _line(name: str, ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> str:
    ratio = statistics.median(
        mine["cpu_s"] / other["cpu_s"] for mine, other in zip(ours, theirs, strict=True)
    )
    cells = [
        f"{name}, {ours[0]['pictures']} of {ours[0]['size']}",
        f"{_median(ours, 'wall_s'):.1f}",
        f"{_median(ours, 'cpu_s'):.1f}",
        f"{_median(theirs, 'wall_s'):.1f}",
        f"{_median(theirs, 'cpu_s'):.1f}",
        f"{ratio:.2f}",
        f"{_median(ours, 'memory_mb'):.0f}",
        f"{ours[0]['announced_mb']:.0f}",
        f"{_median(theirs, 'memory_mb'):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _median(measured: Sequence[dict[str, Any]], key: str) -> float:
    return float(statistics.median(one[key] for one in measured))


def _in_process(name: str, contender: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", name, "--contender", contender]
    command += ["--shared", str(options.shared), "--workspace", str(options.workspace)]
    if options.models:
        command += ["--models", str(options.models)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    """One contender, in this process."""
    from accuracy_peers import quantized_by

    from vacc_deploy.frontend import load_model
    from vacc_deploy.quantize.calibrate import calibrate, memory_needed
    from vacc_deploy.quantize.settings import CalibrationSettings

    bench = Bench(next(n for n in NETWORKS if n.name in options.only), options)
    feeds = bench.feeds(bench.calibration())[:_PICTURES]
    model = load_model(bench.model(), None)
    settings = CalibrationSettings(threads=cpu_count())
    held, wall, cpu = peak_mb(), time.perf_counter(), time.process_time()
    if options.contender == "ours":
        calibrate(model, feeds, settings)
    else:
        quantized_by("ONNX Runtime", bench.model(), feeds)
    shape = next(iter(feeds[0].values())).shape
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "memory_mb": peak_mb() - held,
        "announced_mb": memory_needed(model, settings) / 1e6,
        "pictures": len(feeds),
        "size": f"{shape[2]}×{shape[3]}",
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shared", type=Path, default=ROOT.parent / "shared" / "data", help="faces, if asked for"
    )
    parser.add_argument("--workspace", type=Path, default=Path("accuracy"), help="for what is made")
    parser.add_argument("--models", type=Path, help="folder of exported ONNX files, instead of exporting")
    parser.add_argument("--only", nargs="+", metavar="NETWORK", help=", ".join(n.name for n in NETWORKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=_CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.time_limit = 0.0
    return options


if __name__ == "__main__":
    raise SystemExit(main())
