"""``vdeploy export``: a recipe's network as proven ONNX and TorchScript files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from vacc_deploy.cli.console import print_fields, print_json, print_note
from vacc_deploy.cli.options import Json

if TYPE_CHECKING:
    from vacc_deploy.export.exporter import ExportResult

app = typer.Typer(add_completion=False)

EXAMPLES = (
    "vdeploy export vdsr --checkpoint model_epoch_50.pth --size 256 256",
    "vdeploy export lesrcnn --variant x4 -o exported",
    "vdeploy export ./my_model.py -c weights.safetensors",
)

_NO_CHECKPOINT = {
    "demo": "no --checkpoint: using the small demo weights that this project trained; for show, not for work",
    "seeded": "no --checkpoint: using SEEDED RANDOM weights; the files only serve to test the tool chain",
}


@app.command()
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Recipe name (vdeploy models lists them) or ./my_model.py.")
    ],
    checkpoint: Annotated[
        Optional[Path],  # noqa: UP045 - typer evaluates this on Python 3.10 too
        typer.Option(
            "--checkpoint", "-c", metavar="FILE", help="Weights: .safetensors, .pth, .pt or a pickled module."
        ),
    ] = None,
    variant: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="Variant of the model, such as x4 or 512."),
    ] = None,
    norm: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="batch|running", help="FSRNet: normalise by 'batch' or 'running' statistics."),
    ] = None,
    size: Annotated[
        Optional[tuple[int, int]],  # noqa: UP045
        typer.Option(metavar="H W", help="Height and width of the input."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files.")
    ] = Path("exported"),
    formats: Annotated[
        str, typer.Option("--format", metavar="FORMATS", help="Comma-separated: onnx, torchscript.")
    ] = "onnx,torchscript",
    as_json: Json = False,
) -> None:
    """Write a model as ONNX and TorchScript, and prove both equal to PyTorch."""
    from vacc_deploy.errors import ConfigError
    from vacc_deploy.export.exporter import export_model
    from vacc_deploy.export.registry import find_recipe

    if norm is not None:
        if variant not in (None, norm):
            raise ConfigError(
                f"--norm {norm} and --variant {variant} contradict each other", hint="give one of them"
            )
        variant = norm
    recipe = find_recipe(model, variant)
    names = [name.strip() for name in formats.split(",") if name.strip()]
    result = export_model(recipe, checkpoint, size, output, names)  # type: ignore[arg-type]
    if result.weights != "checkpoint":
        print_note(f"warning: {_NO_CHECKPOINT[result.weights]}")
    if as_json:
        print_json(result.to_json())
    else:
        _print_result(result)


def _print_result(result: ExportResult) -> None:
    shape = "x".join(str(side) for side in result.recipe.input_shape)
    fields: dict[str, object] = {
        "model": f"{result.recipe.stem}  {shape}  {result.parameters:,} parameters",
        "weights": result.weights,
    }
    for difference in result.differences:
        path = result.files[difference.form]
        measured = f"max |difference from PyTorch| {difference.max_abs:.1e}"
        fields[difference.form] = f"{path}  ✓ {measured}, outputs span {difference.output_range:.3g}"
    print_fields(fields)
