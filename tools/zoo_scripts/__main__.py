"""Run the vendor's vaststreamx scripts unmodified and write what happened into docs/compatibility.md.

    python tools/zoo_scripts --zoo VastModelZOO --samples VastStreamX-Samples --write docs/compatibility.md

The two folders are checkouts of the vendor's public repositories. Scripts run in a scratch folder, on
artifacts compiled there: our own recipes where the model is one of them, elsewhere stand-ins of the
right shape.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cases import CASES, Case, ShippedNetwork
from inputs import folders, write_inputs
from report import write_report
from stand_ins import StandIn, name_of, write_stand_in


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one script."""

    case: Case
    passed: bool
    seconds: float
    evidence: str


def main() -> int:
    """Run the cases that the command line selects; exit code 1 if any did not do what it should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zoo", type=Path, required=True, help="checkout of Vastai/VastModelZOO")
    parser.add_argument("--samples", type=Path, help="checkout of Vastai/VastStreamX-Samples")
    parser.add_argument("--work", type=Path, help="scratch folder, kept")
    parser.add_argument("--only", nargs="*", default=[""], help="parts of script paths")
    parser.add_argument("--write", type=Path, help="the page to write")
    parser.add_argument("--time-limit", type=float, default=180, help="seconds per script")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (arguments.work or Path(scratch)).resolve()
        write_inputs(work)
        outcomes = list(run_cases(arguments, work))
    if arguments.write:
        write_report(arguments.write, outcomes)
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"{passed} of {len(outcomes)} scripts did what they should")
    return int(passed < len(outcomes))


def run_cases(arguments: argparse.Namespace, work: Path) -> Iterator[Outcome]:
    """Run the selected cases one after the other."""
    for case in CASES:
        root = arguments.zoo if case.repository == "zoo" else arguments.samples
        if root is None or not any(part in case.script for part in arguments.only):
            continue
        outcome = run_case(case, root.resolve(), work, arguments.time_limit)
        mark = "ok  " if outcome.passed else "FAIL"
        print(f"{mark} {outcome.seconds:5.1f} s  {case.script}: {outcome.evidence}", flush=True)
        yield outcome


def run_case(case: Case, root: Path, work: Path, time_limit: float) -> Outcome:
    """Run one script."""
    lr, hr = folders(work, case.pictures, case.limit)
    values = {
        "prefix": str(artifact_of(case, work)) if case.network else "",
        "vdsp": str(root / case.vdsp),
        "work": str(work),
        "picture": str(work / "photos" / "coffee.jpg"),
        "labels": str(work / "labels.txt"),
    }
    flags = case.arguments
    if case.family == "super-resolution":
        flags = (
            "--model_prefix_path", "{prefix}", "--vdsp_params_info", "{vdsp}", "--device", "0",
            "--lr_image_dir", str(lr), "--hr_image_dir", str(hr), "--save_dir", "{work}/results",
        )  # fmt: skip
    command = ["vsx", str(root / case.script), *(flag.format(**values) for flag in flags)]
    start = time.perf_counter()
    try:
        done = vdeploy(command, work, time_limit)
    except subprocess.TimeoutExpired:
        return Outcome(case, False, time_limit, f"not finished after {time_limit:g} s")
    seconds = time.perf_counter() - start
    if case.refused:
        passed = done.returncode != 0 and case.refused in done.stderr and "error[E710]" in done.stderr
        return Outcome(
            case, passed, seconds, f"refused: {case.refused}" if passed else last_line(done.stderr)
        )
    passed = done.returncode == 0
    return Outcome(case, passed, seconds, last_line(done.stdout) if passed else last_line(done.stderr))


def artifact_of(case: Case, work: Path) -> Path:
    """The prefix of the case's artifact, compiled on first use."""
    network = case.network
    assert network is not None
    name = network.config if isinstance(network, ShippedNetwork) else name_of(network)
    prefix = work / "deploy_weights" / name / "mod"
    if prefix.with_suffix(".json").exists():
        return prefix
    model = work / f"{name}.onnx"
    if isinstance(network, ShippedNetwork):
        variant = ["--variant", network.variant] if network.variant else []
        folder = work / f"{name}_export"
        must(vdeploy(["export", network.recipe, *variant, "--format", "onnx", "-o", str(folder)], work, 900))
        (model,) = folder.glob("*.onnx")
        config = [network.config, "--checkpoint", str(model), "--dtype", "fp16"]
    else:
        write_stand_in(network, model)
        config = [str(write_config(network, model))]
    must(vdeploy(["compile", *config, "--name", name, "-o", str(work / "deploy_weights")], work, 900))
    return prefix


def write_config(network: StandIn, model: Path) -> Path:
    """A build YAML for a stand-in."""
    config = model.with_suffix(".yaml")
    config.write_text(
        f"name: {model.stem}\nfrontend:\n  type: onnx\n  checkpoint: {model}\n"
        f"  shape: {{image: {[1, *network.shape]}}}\nbackend:\n  type: tvm_vacc\n  dtype: fp16\n"
    )
    return config


def vdeploy(arguments: list[str], work: Path, time_limit: float) -> subprocess.CompletedProcess[str]:
    """Run one of our commands in the scratch folder."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-m", "vacc_deploy.cli.app", *arguments],
        capture_output=True, text=True, check=False, cwd=work, timeout=time_limit, env=environment,
    )  # fmt: skip


def must(done: subprocess.CompletedProcess[str]) -> None:
    """Stop everything where a preparation failed."""
    if done.returncode:
        raise SystemExit(f"{' '.join(done.args)}\n{done.stderr}")


def last_line(text: str) -> str:
    """The last line that says anything; how a reading loop ended does not."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    lines = [line for line in lines if line and not line.startswith("stream closed")]
    return lines[-1][:160] if lines else "(nothing printed)"


if __name__ == "__main__":
    sys.exit(main())
