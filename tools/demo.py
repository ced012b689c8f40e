"""The whole way on real pictures: export, compile to fp16 and int8, evaluate, benchmark, show.

    make demo            (or: python tools/demo.py [-o demo_output])

Needs nothing outside this repository: the pictures come with scikit-image, the weights are the demo
weights that ``tools/train_vdsr.py`` made from other pictures of the same collection. Everything runs
through the `vdeploy` command, which is printed before it runs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFont

SIZE = 256  # pixels; the build configuration's input
SHOWN = {  # name → (bundled picture, left, top of the crop); the training never saw these pictures
    "astronaut": ("astronaut.png", 96, 0),
    "astronaut_suit": ("astronaut.png", 160, 256),
    "coffee": ("coffee.png", 150, 90),
    "coffee_spoon": ("coffee.png", 330, 140),
}
CALIBRATION = ("chelsea.png", "rocket.jpg", "motorcycle_left.png", "brick.png", "ihc.png")
ZOOM = (64, 64, 160, 160)  # the part of the first picture that the panel magnifies
PANEL_SCALE = 4


def bundled(name: str) -> Image.Image:
    """A picture of scikit-image's wheel, RGB."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as file:
        return file.convert("RGB")


def halve_and_double(picture: Image.Image) -> Image.Image:
    """Bicubic down and up again: what the network has to repair."""
    small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def write_pictures(folder: Path) -> None:
    """Write ``hr``, ``lr`` (both `SHOWN`) and ``calibration`` under `folder`."""
    for kind in ("hr", "lr", "calibration"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, (source, left, top) in SHOWN.items():
        crop = bundled(source).crop((left, top, left + SIZE, top + SIZE))
        crop.save(folder / "hr" / f"{name}.png")
        halve_and_double(crop).save(folder / "lr" / f"{name}.png")
    for source in CALIBRATION:
        picture = bundled(source)
        left, top = (picture.width - SIZE) // 2, (picture.height - SIZE) // 2
        crop = picture.crop((left, top, left + SIZE, top + SIZE))
        halve_and_double(crop).save(folder / "calibration" / f"{Path(source).stem}.png")


def vdeploy(*arguments: object) -> Any:
    """Run a `vdeploy` command with ``--json``, show it, and return what it printed.

    Raises:
        SystemExit: The command failed; its own error is on the screen.
    """
    words = [str(argument) for argument in arguments]
    print(f"\n$ vdeploy {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", "vacc_deploy.cli.app", *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


def luma_psnr(first: Image.Image, second: Image.Image) -> float:
    """PSNR in dB of two pictures' luma, two pixels cut from every side."""
    planes = [np.asarray(picture.convert("YCbCr"), np.float64)[2:-2, 2:-2, 0] for picture in (first, second)]
    return float(10 * np.log10(255.0**2 / np.mean((planes[0] - planes[1]) ** 2)))


def draw_panel(folder: Path, restored: dict[str, Path], target: Path) -> None:
    """Before, after (one column per precision) and truth of a magnified part of the first picture."""
    name = next(iter(SHOWN))
    truth = Image.open(folder / "hr" / f"{name}.png").convert("RGB")
    columns = {"bicubic": Image.open(folder / "lr" / f"{name}.png").convert("RGB")}
    columns |= {label: Image.open(path / f"{name}.png").convert("RGB") for label, path in restored.items()}
    side, caption = (ZOOM[2] - ZOOM[0]) * PANEL_SCALE, 28
    panel = Image.new("RGB", ((side + 8) * (len(columns) + 1) - 8, side + caption), "white")
    pen, font = ImageDraw.Draw(panel), ImageFont.load_default(size=18)
    for index, (label, picture) in enumerate([*columns.items(), ("original", truth)]):
        left = index * (side + 8)
        panel.paste(picture.crop(ZOOM).resize((side, side), Image.Resampling.NEAREST), (left, caption))
        score = "" if picture is truth else f"  {luma_psnr(picture, truth):.2f} dB"
        pen.text((left + 4, 3), f"{label}{score}", fill="black", font=font)
    panel.save(target)


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        print("  ".join(cells))


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("demo_output"))
    output: Path = parser.parse_args().output
    pictures = output / "pictures"
    write_pictures(pictures)
    root = Path(__file__).resolve().parent.parent
    build = root / "build_configs" / "official_vdsr.yaml"
    vdsp = root / "vdsp_params" / "official-vdsr-vdsp_params.json"

    vdeploy("export", "vdsr", "-o", output / "exported")
    model = output / "exported" / "vdsr.onnx"
    rows = [("", "PSNR dB", "gain dB", "lost dB", "fidelity dB", "int8 MACs", "best ms", "images/s")]
    bicubic = [
        luma_psnr(Image.open(pictures / "lr" / f"{name}.png"), Image.open(pictures / "hr" / f"{name}.png"))
        for name in SHOWN
    ]
    bicubic_db = sum(bicubic) / len(bicubic)
    rows.append(("bicubic", f"{bicubic_db:.2f}", "", "", "", "", "", ""))
    restored: dict[str, Path] = {}
    for dtype in ("fp16", "int8"):
        made = vdeploy(
            "compile", build, "--dtype", dtype, "--checkpoint", model, "--name", f"vdsr_{dtype}",
            "--dataset", pictures / "calibration", "-o", output / "deploy_weights",
        )  # fmt: skip
        prefix = made["prefix"]
        vdeploy("verify", prefix)
        score = vdeploy(
            "eval", prefix, "--lr", pictures / "lr", "--hr", pictures / "hr", "--reference", model
        )
        speed = vdeploy("bench", "-m", prefix, "-i", 1, "-b", 1, "--iterations", 20)["profiles"][0]
        restored[f"VDSR {dtype}"] = output / f"restored_{dtype}"
        vdeploy(
            "run", prefix, "--vdsp_params", vdsp, "--input", pictures / "lr", "-o", restored[f"VDSR {dtype}"]
        )
        if dtype == "fp16":
            float_db = score["reference_psnr_db"]
            rows.append(
                ("VDSR float", f"{float_db:.2f}", f"{float_db - bicubic_db:+.2f}", "", "", "", "", "")
            )
        rows.append(
            (
                f"VDSR {dtype}",
                f"{score['psnr_db']:.2f}",
                f"{score['psnr_db'] - bicubic_db:+.2f}",
                f"{score['drop_db']:.3f}",
                f"{score['fidelity_db']:.1f}",
                f"{made['int8_macs_percent']:.0f} %",
                f"{speed['latency_us']['min'] / 1000:.1f}",
                f"{speed['throughput_qps']:.1f}",
            )
        )
    panel = output / "before_after.png"
    draw_panel(pictures, restored, panel)
    print(f"\n{len(SHOWN)} pictures of {SIZE}x{SIZE} that the training never saw, scale 2, luma:\n")
    print_table(rows)
    print(f"\nbefore and after: {panel}\nspeeds are emulation on this CPU, not the card")
    return 0


if __name__ == "__main__":
    sys.exit(main())
