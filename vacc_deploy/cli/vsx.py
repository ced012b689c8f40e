"""`vdeploy vsx`: run a vaststreamx script unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy vsx vsx_inference.py --model_prefix_path deploy_weights/net/mod --device_id 0",
    "vdeploy vsx --with my_operators.py script.py",
)

_OWN_FLAGS = ("--with",)


def rewrite_arguments(arguments: list[str]) -> list[str]:
    """Everything after the script's name belongs to the script, whatever it looks like."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in _OWN_FLAGS else 1
    return [*arguments[:index], "--", *arguments[index:]] if index < len(arguments) else arguments


@app.command()
def vsx(
    script: Annotated[Path, typer.Argument(help="The script.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGS", help="Its arguments, passed on untouched.")
    ] = None,
    preload: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="FILE", help="Python file to run first; it registers custom operators."
        ),
    ] = None,
) -> None:
    """Run a vaststreamx script unchanged on the emulated run stream. This is emulation, not the card."""
    from vacc_deploy.vsx.script import run_as_program

    raise typer.Exit(run_as_program(script, arguments or [], preload or []))
