"""How close every convolution of a compiled network comes to the CPU's peak, slowest first.

    python benchmarks/convolutions.py --models vdsr gpen:512 --json convolutions.json

One thread, CPU time, the best of some inferences. A Winograd convolution counts the multiplications of the
direct one, so it can exceed the peak.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["TVM_NUM_THREADS"] = "1"

from networks import DEFAULT, Network, find_network
from peak import float_peak_gops, int8_peak_gops
from prepare import prepare

from vacc_deploy.lowering.target import resolve_target
from vacc_deploy.runtime import model as model_module
from vacc_deploy.runtime.model import Model

_INFERENCES = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--models", nargs="+", default=DEFAULT, help="recipes (name[:variant][@HxW]) or ONNX files"
    )
    parser.add_argument("--dtypes", nargs="+", default=["int8", "fp16"], choices=["int8", "fp16"])
    parser.add_argument("--workspace", type=Path, default=Path(tempfile.gettempdir()) / "vdeploy-benchmarks")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    target = resolve_target("native")
    peaks = {"int8": int8_peak_gops(target), "fp16": float_peak_gops(target)}
    print(f"peak of one core: {peaks['int8']:.0f} GOPS int8, {peaks['fp16']:.0f} GFLOPS float32")
    rows: list[dict[str, Any]] = []
    for name in options.models:
        network = find_network(name, options.workspace)
        prepare(network, nncf=False)
        for dtype in options.dtypes:
            rows += _layers(network, dtype, peaks)
    rows.sort(key=lambda row: -float(row["us"]))
    for row in rows[:60]:
        print(f"{row['model']:22} {row['dtype']} {row['op']:17} {row['shape']:>16} {row['us']:8.0f} µs "
              f"{row['gops']:6.0f} GOPS {row['percent_of_peak']:4.0f} %  {row['layer']}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"peaks": peaks, "rows": rows}, indent=1) + "\n")
    return 0


def _layers(network: Network, dtype: str, peaks: dict[str, float]) -> list[dict[str, Any]]:
    """One row per convolution; the network's other layers are one row together."""
    import numpy as np

    # The profile's clock becomes CPU time: with one thread every kernel runs in the calling one.
    model_module.time = types.SimpleNamespace(perf_counter=time.thread_time)
    model = Model(network.artifact(dtype), threads=1)
    generator = np.random.default_rng(0)
    arrays = [generator.random(spec.shape, np.float32).astype(spec.dtype) for spec in model.inputs]
    model.run(arrays)
    profiles = [model.profile(arrays) for _ in range(_INFERENCES)]
    rows, rest = [], 0.0
    for times in zip(*profiles, strict=True):
        layer, best = times[0].layer, max(min(item.time_us for item in times), 0.1)
        if not layer.macs:
            rest += best
            continue
        gops = 2e-3 * layer.macs / best
        rows.append({
            "model": network.name, "dtype": dtype, "layer": layer.name, "op": layer.op,
            "engine": layer.engine, "shape": "×".join(map(str, layer.shape)), "us": best, "gops": gops,
            "percent_of_peak": 100 * gops / peaks["int8" if layer.engine == "int8" else "fp16"],
        })  # fmt: skip
    rows.append({
        "model": network.name, "dtype": dtype, "layer": "all without multiply-accumulates", "op": "",
        "engine": "", "shape": "", "us": rest, "gops": 0.0, "percent_of_peak": 0.0,
    })  # fmt: skip
    return rows


if __name__ == "__main__":
    sys.exit(main())
