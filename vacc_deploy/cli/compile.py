"""`vdeploy compile`: a build YAML or an ONNX file in, an artifact out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vacc_deploy.cli.console import print_fields, print_json, print_note, print_table, progress_bar

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def compile_(
    config: Annotated[
        str, typer.Argument(help="Build YAML, a shipped one's name, or an ONNX or TorchScript file.")
    ],
    dtype: Annotated[str | None, typer.Option(help="fp16 or int8.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="ONNX or TorchScript file.")] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Calibration pictures: folder, npz folder, datalist.")
    ] = None,
    calibrate_mode: Annotated[
        str | None,
        typer.Option(help="max, percentile, kl_divergence or mse, exactly; default: best per tensor."),
    ] = None,
    scheme: Annotated[
        str | None, typer.Option(help="symmetric (the card's) or asymmetric activations.")
    ] = None,
    target: Annotated[
        str, typer.Option(help="native, sapphirerapids, x86-64-v4, x86-64-v3 or generic.")
    ] = "native",
    name: Annotated[str | None, typer.Option(help="Name of the artifact.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Workspace folder; the artifact is DIR/NAME/mod.*")
    ] = None,
    recipe_exact: Annotated[
        bool, typer.Option("--recipe-exact", help="Quantise precisely as the YAML says, nothing more.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="Compile from this calibration.json instead of calibrating.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compile a network into an artifact that runs on this CPU as the card would run it."""
    from vacc_deploy.build_files import name_for, resolve_build
    from vacc_deploy.compiler import CompileOptions, compile_model

    build = resolve_build(config)
    build = build.override(
        name=name or name_for(build.name, build.dtype, dtype),
        dtype=dtype,
        checkpoint=checkpoint,
        dataset=dataset,
        calibrate_mode=calibrate_mode,
        scheme=scheme,
    )
    for remark in (*build.warnings, *build.notes):
        print_note(str(remark))
    print_note(_echo(build.effective()))
    options = CompileOptions(
        target=target,
        output=output,
        dataset=dataset,
        recipe_exact=recipe_exact or calibrate_mode is not None,
        table=table,
    )
    result = compile_model(build, options, progress_bar)
    manifest = result.manifest
    summary: dict[str, object] = {
        "prefix": str(result.prefix),
        "name": manifest.name,
        "dtype": manifest.dtype,
        "target": manifest.target,
        "layers": len(manifest.run_stream),
        "macs": sum(layer.macs for layer in manifest.run_stream),
        "int8_macs_percent": round(100 * manifest.int8_mac_share(), 2),
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        "warnings": result.warnings,
    }
    if json:
        print_json(summary)
        return
    print_table(("stage", "seconds"), [(stage, f"{value:.2f}") for stage, value in result.seconds.items()])
    print_fields(
        {
            "artifact": result.prefix,
            "precision": f"{manifest.dtype}, {summary['int8_macs_percent']} % of MACs in int8",
            "target": f"{manifest.target} ({manifest.isa} kernels; emulation on a CPU, not the card)",
            "next": f"vdeploy bench -m {result.prefix}",
        }
    )


def _echo(effective: dict[str, object]) -> str:
    """The effective configuration as YAML."""
    import yaml

    text = yaml.safe_dump(effective, sort_keys=False, default_flow_style=None)
    return "effective configuration:\n" + "".join(f"  {line}\n" for line in text.splitlines())
