"""Flags that several commands have, declared once so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", help="CPU threads; default: all.")
]
Prefix = Annotated[Path, typer.Argument(help="The artifact's prefix, …/mod.")]
PrefixOrNewest = Annotated[
    Path | None,
    typer.Argument(metavar="PREFIX", help="The artifact's prefix; default: the newest in ./deploy_weights."),
]
