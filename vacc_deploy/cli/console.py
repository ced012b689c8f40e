"""What every command shares: results on stdout, progress on stderr, errors as text or JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vacc_deploy.cpu import cpu_name

_UNLIMITED = 10_000  # columns
_NUMBER = re.compile(
    r"[-+]?[\d.,]*(e[-+]\d+)?( ?%)?|nan|inf|\d+([x×]\d+)+"
)  # an empty cell, too, is none of words

# No markup and no emoji: a path or a layer's name may hold [brackets] or :words:, which rich would swallow.
_PLAIN: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}

stdout = Console(soft_wrap=True, **_PLAIN)
stderr = Console(stderr=True, soft_wrap=True, **_PLAIN)


def print_json(data: Any) -> None:
    """Write one JSON document to stdout."""
    json.dump(data, sys.stdout, indent=2, allow_nan=False, ensure_ascii=False)
    sys.stdout.write("\n")


def print_note(text: str) -> None:
    """Write one line of progress or commentary to stderr."""
    stderr.print(text)


def emulation_notice() -> str:
    """The line that stands above every figure that an artifact produced."""
    return f"emulation on this CPU ({cpu_name()}), not the card"


def emulation_facts() -> dict[str, str]:
    """The same for JSON documents."""
    return {"emulation": "CPU, not the card", "cpu": cpu_name()}


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """Write an aligned table to stdout: columns of numbers to the right, columns of words to the left."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    texts = [[str(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = all(_NUMBER.fullmatch(row[index]) for row in texts)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in texts:
        table.add_row(*row)
    # As wide as its content: a cut cell is useless in a pipe, and a terminal scrolls or wraps.
    wide = stdout.options.update_width(_UNLIMITED)
    width = table.__rich_measure__(stdout, wide).maximum
    console = Console(width=max(width, 1), **_PLAIN)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """Write ``name  value`` lines to stdout."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        stdout.print(f"{name:<{width}}  {value}")


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Any]:
    """A bar on the terminal; yields ``advance(steps=1, note=None)``, whose note replaces the description."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # A log file gets no bar, which would leave empty lines in it.
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task(description, total=total)

        def advance(steps: int = 1, note: str | None = None) -> None:
            progress.update(task, advance=steps, description=f"{description}: {note}" if note else None)

        yield advance
