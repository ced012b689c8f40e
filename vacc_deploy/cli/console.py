"""What every command shares: results on stdout, progress on stderr, errors as text or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

_UNLIMITED = 10_000  # columns

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Write one JSON document to stdout."""
    json.dump(data, sys.stdout, indent=2, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")


def print_note(text: str) -> None:
    """Write one line of progress or commentary to stderr."""
    stderr.print(text, markup=False)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Write an aligned table to stdout; the first column is text, numbers align right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    # As wide as its content: a cut cell is useless in a pipe, and a terminal scrolls or wraps.
    wide = stdout.options.update_width(_UNLIMITED)
    width = table.__rich_measure__(stdout, wide).maximum
    Console(highlight=False, width=max(width, 1)).print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Write ``name  value`` lines to stdout."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        stdout.print(f"{name:<{width}}  {value}", markup=False)


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Any]:
    """A bar on stderr; yields ``advance(steps=1)``."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps=1: progress.advance(task, steps)
