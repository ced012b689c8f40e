"""The page behind ``vdeploy COMMAND --help``: one layout for every command and every version of typer."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

_MAX_WIDTH = 110  # columns; longer lines are hard to read
_MAX_TERM = 30  # columns of the flags; longer ones get a line of their own


def help_page(name: str, command: Any, examples: Sequence[str]) -> str:
    """What a command does, its arguments, its options with their defaults, and examples.

    Args:
        name: The sub-command.
        command: What ``typer.main.get_command`` made of it.
        examples: Command lines, each with a ``# comment`` if it needs one.
    """
    width = min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
    usage = " ".join(["vdeploy", name, *("[OPTIONS]" for _ in options[:1]), *map(_usage, arguments)])
    rows = [(_flags(option), _described(option)) for option in options]
    rows += (
        [("--debug", "Add the traceback to an error.")] if name != "vsx" else []
    )  # a script's flags are its own
    rows.append(("-h, --help", "This page."))
    sections = [f"Usage: {usage}", _paragraphs(command.help or "", width)]
    if arguments:
        sections.append("Arguments:\n" + _table([(_usage(p), p.help or "") for p in arguments], width))
    sections.append("Options:\n" + _table(rows, width))
    if examples:
        sections.append("\n".join(["Examples:", *(f"  {line}" for line in examples)]))
    return "\n\n".join(sections)


def _paragraphs(text: str, width: int) -> str:
    parts = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(part.split()), width) for part in parts)


def _usage(argument: Any) -> str:
    word = (argument.metavar or argument.name).upper() + ("..." if argument.nargs != 1 else "")
    return word if argument.required else f"[{word}]"


def _flags(option: Any) -> str:
    opts = list(option.opts)
    # vamp's own spelling stands for the one with dashes, which is accepted too.
    names = [flag for flag in opts if "-" not in flag[2:] or f"--{flag[2:].replace('-', '_')}" not in opts]
    names.sort(key=lambda flag: flag.startswith("--"))
    text = ", ".join([*names, *option.secondary_opts])
    return text if option.is_flag else f"{text} {option.metavar or option.name.upper()}"


def _described(option: Any) -> str:
    if option.required:
        return f"{option.help} Required."
    default = option.default
    if option.is_flag or default in (None, "", ()) or "default:" in option.help:
        return str(option.help)
    return f"{option.help} Default: {default}."


def _table(rows: Sequence[tuple[str, str]], width: int) -> str:
    column = min(_MAX_TERM, max(len(term) for term, _ in rows)) + 4
    return "\n".join(line for term, text in rows for line in _row(term, text, column, width))


def _row(term: str, text: str, column: int, width: int) -> Iterator[str]:
    lines = textwrap.wrap(text, max(20, width - column)) or [""]
    if len(term) + 4 > column:
        yield f"  {term}"
    else:
        yield f"  {term}".ljust(column) + lines.pop(0)
    yield from (" " * column + line for line in lines)
