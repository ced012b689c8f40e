"""`vdeploy eval`: PSNR and SSIM of an artifact under its model's published protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vacc_deploy.cli.console import (
    emulation_facts,
    emulation_notice,
    print_fields,
    print_json,
    print_note,
    print_table,
    progress_bar,
)
from vacc_deploy.cli.options import Json, Threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

app = typer.Typer(add_completion=False)

EXAMPLES = (
    "vdeploy eval deploy_weights/net/mod --lr lr/ --hr hr/ --reference exported/vdsr.onnx",
    "vdeploy eval deploy_weights/net/mod --lr lr/ --hr hr/ --reference vdsr.onnx --max-drop 0.1  # a gate",
)


@app.command(name="eval")
def evaluate_command(
    prefix: Annotated[Path, typer.Argument(help="Artifact prefix (dir/mod), or a float ONNX file.")],
    hr: Annotated[Path, typer.Option("--hr", metavar="DIR", help="Folder of ground-truth pictures.")],
    lr: Annotated[
        Path | None,
        typer.Option(
            "--lr",
            metavar="DIR",
            help="Folder of low-resolution pictures; some protocols make them from --hr.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", metavar="NAME", help="Protocol; default: the one of the model's recipe."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", metavar="MODEL", help="The float model (ONNX, or an artifact) to compare with."
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", metavar="DB", help="Fail (exit code 2) where the drop exceeds this, dB."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="Write the output pictures here as PNG.")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Score an artifact by PSNR and SSIM under its model's protocol."""
    from vacc_deploy.errors import ConfigError, GateError
    from vacc_deploy.evaluate import evaluate, open_model
    from vacc_deploy.evaluate.evaluator import select_pairs

    if max_drop is not None and reference is None:
        raise ConfigError(
            "--max-drop compares with a float model", hint="name it with --reference MODEL.onnx"
        )
    model = open_model(prefix, threads)
    chosen = _protocol(protocol, model.recipe)
    float_model = None if reference is None else open_model(reference, threads)
    total = len(select_pairs(chosen, lr, hr))
    with progress_bar(f"evaluating by {chosen.name}", total) as advance:
        result = evaluate(
            model,
            chosen,
            lr,
            hr,
            float_model,
            progress=advance,
            on_picture=None if save is None else _picture_writer(save),
        )
    for note in result.notes:
        print_note(f"note: {note}")
    is_emulation = prefix.suffix.lower() != ".onnx"
    if as_json:
        print_json((emulation_facts() if is_emulation else {}) | result.to_json())
    else:
        if is_emulation:
            print(emulation_notice())
        _print(result)
    if max_drop is not None and result.drop_db is not None and result.drop_db > max_drop:
        raise GateError(f"the drop of {result.drop_db:.3f} dB exceeds --max-drop {max_drop:g} dB")


def _protocol(name: str | None, recipe: dict[str, Any]) -> Any:
    """The protocol to use: the flag's, else the recipe's, else the generic one, said aloud."""
    from vacc_deploy.evaluate.protocol import recipe_protocol

    if not name and not recipe.get("protocol"):
        print_note("note: the model names no protocol; scoring by 'rgb' (x / 255 in, y * 255 out)")
    return recipe_protocol(recipe, name)


def _picture_writer(folder: Path) -> Callable[[str, NDArray[np.float32]], None]:
    """A function that writes one output picture as PNG, so that memory holds one at a time."""
    import numpy as np

    from vacc_deploy.evaluate.protocol import clip_round
    from vacc_deploy.safe_io import write_image

    def write(name: str, picture: NDArray[np.float32]) -> None:
        write_image(folder / f"{name}.png", np.ascontiguousarray(clip_round(picture)))

    return write


def _print(result: Any) -> None:
    has_reference = result.reference_psnr_db is not None
    columns = ["picture", "PSNR dB", "SSIM", *(("float dB", "fidelity dB") if has_reference else ())]
    rows = [
        [row.name, f"{row.psnr_db:.3f}", f"{row.ssim:.4f}"]
        + ([f"{row.reference_psnr_db:.3f}", f"{row.fidelity_db:.2f}"] if has_reference else [])
        for row in result.rows
    ]
    print_table(columns, rows)
    fields: dict[str, object] = {
        "protocol": result.protocol,
        "images": result.images,
        "psnr_db": f"{result.psnr_db:.3f}",
        "ssim": f"{result.ssim:.4f}",
    }
    if has_reference:
        fields |= {
            "reference_psnr_db": f"{result.reference_psnr_db:.3f}",
            "drop_db": f"{result.drop_db:.3f}",
            "fidelity_db": f"{result.fidelity_db:.2f}",
        }
    print_fields(fields)
