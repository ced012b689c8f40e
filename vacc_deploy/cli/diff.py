"""`vdeploy diff`: where the decibels go, layer by layer and in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vacc_deploy.cli.console import (
    emulation_facts,
    emulation_notice,
    print_fields,
    print_json,
    print_note,
    print_table,
)
from vacc_deploy.cli.options import Json, Prefix

if TYPE_CHECKING:
    from vacc_deploy.comparison import Comparison

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy diff deploy_weights/net/mod --reference exported/vdsr.onnx --input lr/",
    "vdeploy diff deploy_weights/net/mod  # against the stored float outputs",
)


@app.command()
def diff(
    prefix: Prefix,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", metavar="MODEL", help="The float model; without it, its stored test outputs."
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--input", metavar="PATH", help="Pictures, npz files or a datalist; default: the test input."
        ),
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=1, metavar="N", help="Use this many of them.")
    ] = 3,
    causes: Annotated[
        int, typer.Option("--causes", min=0, metavar="N", help="Try this many layers in fp16.")
    ] = 5,
    psnr: Annotated[
        float,
        typer.Option(
            "--psnr", metavar="DB", help="What the float model reaches on its task, dB; for the tolerance."
        ),
    ] = 31.0,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write the layers as CSV.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare an artifact with its float model, layer by layer, worst first."""
    from vacc_deploy.comparison import compare, compare_stored, layers_csv
    from vacc_deploy.safe_io import write_text_atomic

    if reference is None:
        stored = compare_stored(prefix)
        if json:
            print_json({**emulation_facts(), "prefix": str(prefix), "outputs": stored})
        else:
            print(emulation_notice())
            print_note("against the float outputs stored in the artifact; name --reference for the layers")
            columns = ("output", "SQNR dB", "cosine", "max abs")
            rows = [
                (row["name"], f"{row['sqnr_db']:.2f}", f"{row['cosine']:.6f}", f"{row['max_abs']:.4g}")
                for row in stored
            ]
            print_table(columns, rows)
        return
    result = compare(prefix, reference, inputs, pictures=pictures, causes=causes, psnr_db=psnr)
    if csv is not None:
        write_text_atomic(csv, layers_csv(result))
    if json:
        print_json({**emulation_facts(), **result.to_json()})
    else:
        _print(result)


def _print(result: Comparison) -> None:
    print(emulation_notice())
    lines = sorted(result.layers, key=lambda line: line.entire.sqnr_db)
    print_table(
        ("layer", "op", "runs", "MACs %", "entire dB", "single dB", "cosine", "max abs", "why"),
        [
            (
                line.name,
                line.op_type,
                line.precision,
                f"{100 * line.macs_share:.2f}",
                f"{line.entire.sqnr_db:.1f}",
                f"{line.single.sqnr_db:.1f}",
                f"{line.entire.cosine:.6f}",
                f"{line.entire.max_abs:.4g}",
                line.why,
            )
            for line in lines
        ],
        title="SQNR against float. entire: all error up to the layer; single: the layer alone, fed float",
    )
    print_fields({"fidelity": f"{result.fidelity_db:.2f} dB", "tolerance": result.tolerance})
    for cause in result.causes:
        print_fields({"cause": cause.text})
