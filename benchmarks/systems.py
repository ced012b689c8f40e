"""Every recipe the whole way, through the commands a user types; the measurements become a table.

    python benchmarks/systems.py                      all systems, cheapest first (needs ../shared/data)
    python benchmarks/systems.py vdsr gpen_256        some of them
    python benchmarks/systems.py --int8-only vdsr     what changes with calibration
    python benchmarks/systems.py --table-only         rewrite docs/models.md from benchmarks/systems.json

For each: export ONNX and TorchScript, compile fp16 and int8 with default settings, evaluate both by the
recipe's protocol beside the float network, bench both, and run them on the golden input. Results are kept
per system in ``benchmarks/systems.json``, so that the slow ones need not be repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHECKOUT = Path(__file__).resolve().parent.parent
DATA = CHECKOUT.parent / "shared" / "data"
RESULTS = CHECKOUT / "benchmarks" / "systems.json"
PAGE = CHECKOUT / "docs" / "models.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_FACES = 5  # the first five calibrate, the others evaluate
_ONE_PICTURE = ("-i", 1, "-b", 1, "--threads", 1, "--mode", "latency", "--warmup", 1, "--iterations", 1)


@dataclass(frozen=True, slots=True)
class System:
    """One variant of one recipe with what it is measured on.

    Args:
        golden: Folder of ``shared/data/ref`` and case of the golden input.
        checkpoint: Official weights under ``shared/data``; empty where none are at hand (seeded weights).
        pictures: ``faces512``, or the Set5 folder under ``shared/data``.
        protocol: Evaluation protocol, where the recipe's own needs other pictures.
        gray: Calibrate on the faces without their colours, which is what colorization sees.
        evaluated: How many faces are evaluated.
    """

    recipe: str
    variant: str
    golden: tuple[str, str]
    checkpoint: str = ""
    pictures: str = "faces512"
    protocol: str = ""
    gray: bool = False
    evaluated: int = _FACES


def _vdsr(protocol: str) -> System:
    case = ("vdsr", "butterfly_x4_256")
    return System("vdsr", "", case, "vdsr/vdsr_epoch50.safetensors", "set5_vdsr", protocol)


def _lesrcnn(scale: int) -> System:
    case = (f"lesrcnn_x{scale}", f"butterfly_x{scale}_native")
    return System(
        "lesrcnn", f"x{scale}", case, f"lesrcnn/lesrcnn_x{scale}.safetensors", f"set5_lesrcnn/x{scale}"
    )


def _blind(scale: int) -> System:
    case = ("lesrcnn_b", f"butterfly_x{scale}_native")
    return System("lesrcnn", f"b_x{scale}", case, pictures=f"set5_lesrcnn/x{scale}")


SYSTEMS = {
    "vdsr": _vdsr("vdsr_vamp"),
    "vdsr_multisize": _vdsr("vdsr_multisize"),
    **{f"lesrcnn_x{scale}": _lesrcnn(scale) for scale in (2, 3, 4)},
    **{f"lesrcnn_b_x{scale}": _blind(scale) for scale in (2, 3, 4)},
    "fsrnet_batch": System("fsrnet", "batch", ("fsrnet", "ffhq00000")),
    "fsrnet_running": System("fsrnet", "running", ("fsrnet", "ffhq00000")),
    "sparnet_light_attn3d": System("sparnet", "light_attn3d", ("sparnet_light_attn3d", "ffhq00000")),
    "sparnet_full": System("sparnet", "full", ("sparnet", "ffhq00000")),
    "gpen_256": System("gpen", "256", ("gpen_256_narrow05", "ffhq00000")),
    "gpen_512": System("gpen", "512", ("gpen_512", "ffhq00000")),
    "gpen_512_colorization": System("gpen", "512_colorization", ("gpen_512", "ffhq00000"), gray=True),
    "sparnet_hd_attn3d": System(  # a picture takes a minute of processor time
        "sparnet", "hd_attn3d", ("sparnethd_attn3d", "ffhq00000"), evaluated=1
    ),
}


@dataclass(frozen=True, slots=True)
class Command:
    """What one command printed, and what it cost.

    Args:
        printed: Its JSON document.
        cpu_seconds: Processor time of its processes, which a busy machine does not change.
        peak_mb: Peak memory of its largest process.
    """

    printed: Any
    cpu_seconds: float
    peak_mb: float

    def cost(self) -> dict[str, float]:
        """The cost, rounded for the results file."""
        return {"cpu_seconds": round(self.cpu_seconds, 1), "peak_mb": round(self.peak_mb)}


def vdeploy(*arguments: object) -> Command:
    """Run one command with ``--json``.

    Raises:
        RuntimeError: The command failed.
    """
    words = [str(argument) for argument in arguments]
    print(f"$ vdeploy {' '.join(words)}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "vacc_deploy.cli.app", *words, "--json"]
    read_end, write_end = os.pipe()
    process = os.posix_spawn(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)]
    )
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        printed = pipe.read()
    _, status, usage = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"vdeploy {words[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return Command(json.loads(printed), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def pictures(system: System, work: Path) -> tuple[Path, list[object]]:
    """The calibration folder, and the flags of `vdeploy eval` that name the evaluation pictures."""
    source = DATA / system.pictures
    if system.pictures != "faces512":
        low = work / system.pictures.replace("/", "_")
        low.mkdir(parents=True, exist_ok=True)
        marker = "scale_4" if system.recipe == "vdsr" else "LR"
        for file in sorted(source.glob(f"*{marker}*")):
            shutil.copy(file, low)
        return low, ["--lr", source, "--hr", source]
    files = sorted(source.glob("*.png"))
    scored = f"faces_evaluation_{system.evaluated}"
    parts = {"faces_calibration": files[:_FACES], scored: files[_FACES:][: system.evaluated]}
    for name, chosen in parts.items():
        (work / name).mkdir(parents=True, exist_ok=True)
        for file in chosen:
            shutil.copy(file, work / name)
    if not system.gray:
        return work / "faces_calibration", ["--hr", work / scored]
    gray = work / "faces_gray"
    gray.mkdir(exist_ok=True)
    for file in parts["faces_calibration"]:
        with Image.open(file) as picture:
            picture.convert("L").convert("RGB").save(gray / file.name)
    return gray, ["--hr", work / scored]


def golden_input(system: System, shape: tuple[int, ...]) -> Any:
    """The golden input (1, C, H, W) float32; mirrored at the bottom and right where the network is larger."""
    folder, case = system.golden
    with np.load(DATA / "ref" / folder / f"input_{case}.npz") as stored:
        if "input" in stored:
            array = stored["input"]
        else:
            scaled = (stored["input_u8"] / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
            array = scaled.transpose(2, 0, 1)[np.newaxis]
    height, width = shape[2:]
    missing = (max(0, height - array.shape[2]), max(0, width - array.shape[3]))
    array = np.pad(array, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
    return np.ascontiguousarray(array[:, :, :height, :width], np.float32)


def golden_fidelity(system: System, prefix: str, model: Path) -> dict[str, float]:
    """PSNR of an artifact's picture against the float network on the golden input, dB, in pixels of 0…255.

    The run stream hands float16 tensors to a network. ``same_input_db`` gives that tensor to both, and is
    about arithmetic; ``float_input_db`` gives the float network float32, and counts the input's rounding too.
    """
    from vacc_deploy.evaluate import open_model
    from vacc_deploy.evaluate.model_function import ArtifactFunction

    compiled, reference = ArtifactFunction(prefix), open_model(model)
    post = compiled.model.manifest.postprocess
    x = golden_input(system, compiled.model.inputs[0].shape)
    rounded = x.astype(np.float16).astype(np.float32)
    own = compiled([x])[post.output].astype(np.float64)
    result = {}
    for name, feed in (("same_input_db", rounded), ("float_input_db", x)):
        error = (own - reference([feed])[post.output]) * post.scale
        result[name] = round(10 * float(np.log10(255.0**2 / np.mean(error**2))), 2)
    return result


def export(system: System, work: Path) -> dict[str, Any]:
    """Export one system; what stands in its row before anything is compiled."""
    from vacc_deploy.export.complexity import measure as count
    from vacc_deploy.export.registry import find_recipe

    recipe = find_recipe(system.recipe, system.variant or None)
    flags: list[object] = ["--variant", system.variant] if system.variant else []
    flags += ["--checkpoint", DATA / system.checkpoint] if system.checkpoint else []
    made = vdeploy("export", system.recipe, *flags, "-o", work / "exported")
    cost = count(recipe)
    return {
        "input": list(recipe.input_shape),
        "weights": made.printed["weights"],
        "parameters": cost.parameters,
        "macs": cost.macs,
        "card_gflops": round(cost.card_gflops, 3),
        "export": {**made.cost(), "max_abs": made.printed["max_abs_difference"]},
    }


def compile_and_evaluate(name: str, system: System, dtype: str, work: Path) -> dict[str, Any]:
    """Compile one system to one precision, run it and score it beside the float network."""
    from vacc_deploy.export.registry import find_recipe

    recipe = find_recipe(system.recipe, system.variant or None)
    exported = work / "exported" / f"{recipe.stem}.onnx"
    calibration, scored = pictures(system, work)
    scored += ["--protocol", system.protocol] if system.protocol else []
    data = ["--dataset", calibration] if dtype == "int8" else []
    build = recipe.settings.config if recipe.settings else exported
    made = vdeploy(
        "compile", build, "--checkpoint", exported, "--dtype", dtype, "--name", f"{name}_{dtype}",
        "-o", work / "deploy_weights", *data,
    )  # fmt: skip
    prefix = made.printed["prefix"]
    score = vdeploy("eval", prefix, *scored, "--reference", exported).printed
    vdeploy("bench", "-m", prefix, *_ONE_PICTURE)  # that it runs; speeds: docs/performance.md
    return {
        **made.cost(),
        "int8_macs_percent": made.printed["int8_macs_percent"],
        "protocol": score["protocol"],
        "images": score["images"],
        "psnr_db": round(score["psnr_db"], 4),
        "reference_psnr_db": round(score["reference_psnr_db"], 4),
        "drop_db": round(score["drop_db"], 4),
        "fidelity_db": round(score["fidelity_db"], 2),
        "golden": golden_fidelity(system, prefix, exported),
    }


def _whole(number: float | None) -> str:
    """A whole number, or a dash where an older run of this script did not measure it."""
    return "–" if number is None else f"{number:.0f}"


def table(results: dict[str, Any]) -> str:
    """The measurements as a Markdown table, one row per system."""
    head = (
        "model", "input", "weights", "params [M]", "GMACs", "card GFLOPs", "fp16 dB", "fp16 dB, float input",
        "fp16 drop dB", "int8 dB", "int8 drop dB", "int8 MACs", "compile fp16 / int8 [CPU s]",
        "peak memory [GB]",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---" * 3 + "|--:" * (len(head) - 3) + "|"]
    for name, row in results.items():
        half, codes = row["fp16"], row["int8"]
        peak = max(row[stage]["peak_mb"] for stage in ("export", "fp16", "int8")) / 1024
        cells = (
            name,
            "×".join(map(str, row["input"][1:])),
            "official" if row["weights"] == "checkpoint" else row["weights"],
            f"{row['parameters'] / 1e6:.3f}",
            f"{row['macs'] / 1e9:.2f}",
            f"{row['card_gflops']:.3f}",
            f"{half['golden']['same_input_db']:.1f}",
            f"{half['golden']['float_input_db']:.1f}",
            f"{half['drop_db']:.4f}",
            f"{codes['fidelity_db']:.1f}",
            f"{codes['drop_db']:.3f}",
            f"{codes['int8_macs_percent']:.1f} %",
            " / ".join(_whole(each.get("cpu_seconds")) for each in (half, codes)),
            f"{peak:.2f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def stored_results() -> dict[str, Any]:
    """The rows measured so far, by system."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}


def write_table(results: dict[str, Any]) -> None:
    """Put the table between the markers of docs/models.md."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    ordered = {name: results[name] for name in SYSTEMS if name in results}
    PAGE.write_text(f"{before}{BEGIN}\n{table(ordered)}\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Measure what the command line names; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", help=", ".join(SYSTEMS))
    parser.add_argument(
        "--work", type=Path, default=Path("systems_output"), help="folder for exports and artifacts"
    )
    parser.add_argument(
        "--int8-only", action="store_true", help="keep the rest of each row, and its export in the folder"
    )
    parser.add_argument("--table-only", action="store_true", help="measure nothing")
    options = parser.parse_args()
    unknown = sorted(set(options.systems) - set(SYSTEMS))
    if unknown:
        parser.error(f"no such system: {', '.join(unknown)}")
    if not DATA.is_dir():
        parser.error(f"this benchmark needs pictures and goldens in {DATA}")
    for name in [] if options.table_only else options.systems or SYSTEMS:
        system = SYSTEMS[name]
        row = stored_results()[name] if options.int8_only else export(system, options.work)
        for dtype in ("int8",) if options.int8_only else ("fp16", "int8"):
            row[dtype] = compile_and_evaluate(name, system, dtype, options.work)
        results = stored_results() | {name: row}  # read again: another run may have added rows meanwhile
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_table(stored_results())
    return 0


if __name__ == "__main__":
    sys.exit(main())
