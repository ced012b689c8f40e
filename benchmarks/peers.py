"""Our artifacts against OpenVINO and ONNX Runtime.

    python benchmarks/peers.py --models vdsr lesrcnn:x2 --threads 1 2 --json peers.json

int8: our artifact, OpenVINO and ONNX Runtime run the same quantized.onnx (uint8 activations, the form that
every one of them computes in integers), and OpenVINO also runs the int8 model that NNCF makes of the same
float model. fp16: our fp16 artifact against both peers in float32.

Every contender lives in its own process; in every round each runs once, and ratios are medians of the
rounds' ratios. One thread is measured in CPU time, which other programs on the machine do not lengthen;
several threads in wall time, which they do.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contenders import Contender
from networks import DEFAULT, Network, find_network
from prepare import prepare
from rounds import measure, median_ratio, values

_EXTRA = ("openvino", "nncf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table; returns the exit code."""
    options = _parse(arguments)
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"error: {' and '.join(missing)} not installed; pip install 'vacc_deploy[peers]'", file=sys.stderr
        )
        return 1
    rows: list[dict[str, Any]] = []
    for name in options.models:
        network = find_network(name, options.workspace)
        print(f"preparing {network.name}", file=sys.stderr)
        costs = prepare(network)
        if options.prepare_only:
            continue
        for dtype in options.dtypes:
            for threads in options.threads:
                row = _row(network, dtype, threads, options.rounds)
                row["lowering"] = costs[dtype]
                rows.append(row)
                print(_line(row), flush=True)
    if options.json and rows:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", default=DEFAULT, help="recipes (name[:variant][@HxW]) or ONNX files"
    )
    parser.add_argument("--dtypes", nargs="+", default=["int8", "fp16"], choices=["int8", "fp16"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workspace", type=Path, default=Path(tempfile.gettempdir()) / "vdeploy-benchmarks",
                        help="keeps exported, quantised and compiled models between runs")  # fmt: skip
    parser.add_argument("--prepare-only", action="store_true", help="make the models and measure nothing")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    return parser.parse_args(arguments)


def _row(network: Network, dtype: str, threads: int, rounds: int) -> dict[str, Any]:
    ours = network.artifact(dtype)
    if dtype == "int8":
        contenders = {
            "ours": Contender("ours", ours, threads),
            "openvino": Contender("openvino", network.quantized, threads),
            "openvino_nncf": Contender("openvino", network.nncf, threads),
            "onnxruntime": Contender("onnxruntime", network.quantized, threads),
        }
    else:
        contenders = {
            "ours": Contender("ours", ours, threads),
            "openvino": Contender("openvino", network.float_model, threads, float32=True),
            "onnxruntime": Contender("onnxruntime", network.float_model, threads),
        }
    timings = measure(contenders, rounds)
    for contender in contenders.values():
        contender.close()
    clock = {name: values(taken, cpu=threads == 1) for name, taken in timings.items()}
    peers = [name for name in contenders if name != "ours"]
    row: dict[str, Any] = {"model": network.name, "dtype": dtype, "threads": threads}
    row["clock"] = "cpu" if threads == 1 else "wall"
    row |= {f"{name}_ms": statistics.median(taken) for name, taken in clock.items()}
    row |= {f"ratio_{name}": median_ratio(clock["ours"], clock[name]) for name in peers}
    row |= {f"{name}_load_ms": contender.loading.load_ms for name, contender in contenders.items()}
    row |= {f"{name}_peak_mb": contender.loading.peak_mb for name, contender in contenders.items()}
    return row


def _line(row: dict[str, Any]) -> str:
    times = "  ".join(f"{key[:-3]} {value:.1f}" for key, value in row.items()
                      if key.endswith("_ms") and not key.endswith("_load_ms"))  # fmt: skip
    ratios = "  ".join(f"/{key[6:]} {value:.2f}" for key, value in row.items() if key.startswith("ratio_"))
    return f"{row['model']:22} {row['dtype']} {row['threads']} thr ({row['clock']} ms)  {times}  |  {ratios}"


def machine() -> dict[str, Any]:
    """What the numbers depend on: processor, cores, versions."""
    from vacc_deploy.cpu import cpu_count, cpu_features, cpu_name
    from vacc_deploy.lowering.target import TARGETS

    target = next(target for target in TARGETS.values() if target.runs_on(cpu_features()))
    names = ("apache-tvm", "openvino", "nncf", "onnxruntime", "numpy")
    return {
        "cpu": cpu_name(),
        "cores": cpu_count(),
        "target": target.name,
        "load": round(os.getloadavg()[0], 1),
        "versions": {name: importlib.metadata.version(name) for name in names},
    }


if __name__ == "__main__":
    sys.exit(main())
