"""Write measured tables into docs/performance.md, between ``<!-- NAME -->`` and ``<!-- end of NAME -->``.

The page has one set of tables per kind of machine, ``vnni int8``, ``avx2 int8`` and so on::

    python benchmarks/write_tables.py avx2 --peers peers*.json --convolutions conv.json --scaling scaling.json
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_SLOWEST = 12  # convolutions per dtype in the page
_ENOUGH = 60.0  # percent of peak


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the sections whose measurements are given; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("machine", choices=["vnni", "avx2"], help="whose tables to rewrite")
    parser.add_argument("--peers", nargs="*", type=Path, default=[], help="files of peers.py --json")
    parser.add_argument("--convolutions", type=Path, help="file of convolutions.py --json")
    parser.add_argument("--scaling", type=Path, help="file of scaling.py --json")
    options = parser.parse_args(arguments)
    text, machine = _PAGE.read_text(), options.machine
    if options.peers:
        documents = [json.loads(path.read_text()) for path in options.peers]
        rows = [row for document in documents for row in document["rows"]]
        text = _replace(text, f"{machine} machine", _machine(documents[-1]["machine"]))
        text = _replace(text, f"{machine} int8", _peers(rows, "int8"))
        text = _replace(text, f"{machine} fp16", _peers(rows, "fp16"))
        text = _replace(text, f"{machine} memory", _memory(rows))
    if options.convolutions:
        text = _replace(
            text,
            f"{machine} convolutions",
            _convolutions(json.loads(options.convolutions.read_text())),
        )
    if options.scaling:
        text = _replace(text, f"{machine} scaling", _scaling(json.loads(options.scaling.read_text())))
    _PAGE.write_text(text)
    return 0


def _replace(text: str, name: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{_PAGE} has no section '<!-- {name} -->'")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, kernels for `{machine['target']}`; {versions}. "
        f"Other programs kept the load average at {machine['load']}."
    )


def _peers(rows: Sequence[dict[str, Any]], dtype: str) -> str:
    chosen = sorted((row for row in rows if row["dtype"] == dtype), key=lambda row: row["threads"])
    peers = ["openvino", "openvino_nncf", "onnxruntime"] if dtype == "int8" else ["openvino", "onnxruntime"]
    titles = {
        "openvino": "OpenVINO",
        "openvino_nncf": "OpenVINO (NNCF)",
        "onnxruntime": "ONNX Runtime",
    }
    header = ["model", "threads", "clock", "ours ms"]
    header += [f"{titles[peer]} ms" for peer in peers] + [f"ours / {titles[peer]}" for peer in peers]
    return _table(
        header,
        [
            [row["model"], str(row["threads"]), row["clock"], f"{row['ours_ms']:.1f}"]
            + [f"{row[f'{peer}_ms']:.1f}" for peer in peers]
            + [f"**{row[f'ratio_{peer}']:.2f}**" for peer in peers]
            for row in chosen
        ],
    )


def _memory(rows: Sequence[dict[str, Any]]) -> str:
    header = [
        "model",
        "dtype",
        "ours MB",
        "OpenVINO MB",
        "ONNX Runtime MB",
        "ours loads in ms",
        "OpenVINO ms",
    ]
    header += ["lowering s", "lowering MB"]
    return _table(
        header,
        [
            [row["model"], row["dtype"]]
            + [f"{row[f'{name}_peak_mb']:.0f}" for name in ("ours", "openvino", "onnxruntime")]
            + [f"{row[f'{name}_load_ms']:.0f}" for name in ("ours", "openvino")]
            + [f"{row['lowering']['cpu_seconds']:.1f}", f"{row['lowering']['peak_mb']:.0f}"]
            for row in rows
            if row["threads"] == 1
        ],
    )


def _convolutions(document: dict[str, Any]) -> str:
    peaks, parts = document["peaks"], []
    for dtype, unit in (("int8", "GOPS"), ("fp16", "GFLOPS")):
        rows = [row for row in document["rows"] if row["dtype"] == dtype and row["gops"]]
        time = sum(row["us"] for row in rows)
        fast = sum(row["us"] for row in rows if row["percent_of_peak"] >= _ENOUGH)
        below = [row for row in rows if row["percent_of_peak"] < _ENOUGH][:_SLOWEST]
        parts.append(
            f"{dtype}: one core's peak is {peaks[dtype]:.0f} {unit}. "
            f"Convolutions at {_ENOUGH:.0f} % or more take {100 * fast / time:.0f} % "
            "of all convolutions' time. "
            "The slowest below it:\n"
        )
        parts.append(_table(
            ["model", "layer", "op", "output", "µs", unit, "% of peak"],
            [[row["model"], row["layer"], row["op"], row["shape"], f"{row['us']:.0f}", f"{row['gops']:.0f}",
              f"{row['percent_of_peak']:.0f}"] for row in below],
        ) + "\n")  # fmt: skip
    return "\n".join(parts).rstrip()


def _scaling(document: dict[str, Any]) -> str:
    area = _table(
        ["picture", "CPU ms", "ns per pixel", "peak MB"],
        [[f"{row['side']}×{row['side']}", f"{row['cpu_ms']:.1f}", f"{row['ns_per_pixel']:.0f}",
          f"{row['peak_mb']:.0f}"] for row in document["area"]],
    )  # fmt: skip
    batch = _table(
        ["batch", "CPU ms"], [[str(row["batch"]), f"{row['cpu_ms']:.1f}"] for row in document["batch"]]
    )
    threads = _table(
        ["threads", "wall ms", "CPU ms"],
        [
            [str(row["threads"]), f"{row['wall_ms']:.1f}", f"{row['cpu_ms']:.1f}"]
            for row in document["threads"]
        ],
    )
    instances = _table(
        ["instances of one thread", "inferences per second"],
        [[str(row["instances"]), f"{row['per_second']:.1f}"] for row in document["instances"]],
    )
    title = f"{document['model']} {document['dtype']}:"
    return "\n\n".join([title, area, batch, threads, instances])


if __name__ == "__main__":
    sys.exit(main())
