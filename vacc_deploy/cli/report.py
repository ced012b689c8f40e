"""`vdeploy report`: one HTML file about an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vacc_deploy.cli.console import print_fields, print_json
from vacc_deploy.cli.options import Json, PrefixOrNewest

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy report deploy_weights/net/mod --lr lr/ --hr hr/ --reference exported/vdsr.onnx -o report.html",
)


@app.command()
def report(
    prefix: PrefixOrNewest = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")] = Path(
        "report.html"
    ),
    hr: Annotated[
        Path | None, typer.Option("--hr", metavar="DIR", help="Ground-truth pictures, to score and to show.")
    ] = None,
    lr: Annotated[Path | None, typer.Option("--lr", metavar="DIR", help="Low-resolution pictures.")] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="MODEL", help="The float model to compare with.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a self-contained HTML report: layers, times, thresholds, scores, pictures."""
    from vacc_deploy.artifact import find_newest
    from vacc_deploy.report.collect import collect_report
    from vacc_deploy.report.html import render_report
    from vacc_deploy.safe_io import write_text_atomic

    data = collect_report(prefix or find_newest(), lr, hr, reference)
    write_text_atomic(output, render_report(data))
    summary = {"report": str(output), "artifact": data.prefix, "layers": len(data.layers)}
    if json:
        print_json(summary)
    else:
        print_fields(summary)
