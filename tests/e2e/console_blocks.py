"""Runs a Markdown page: its files are written, its commands run, its output compared."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.S)
_NUMBER = r"-?\d[\d.,]*(?:e[+-]?\d+)?"


@dataclass
class Command:
    """One command of a page and the output that the page shows."""

    line: str
    output: list[str] = field(default_factory=list)


def steps(page: str) -> Iterator[tuple[str, str] | Command]:
    """The page's files, as (name, text), and commands, in order."""
    for block in _BLOCK.finditer(page):
        if block["file"]:
            yield block["file"], block["text"]
        elif block["kind"] == "console":
            command: Command | None = None
            commands = []
            for line in block["text"].splitlines():
                if line.startswith("$ "):
                    command = Command(line[2:])
                    commands.append(command)
                elif command is not None:
                    command.output.append(line)
            yield from commands


def pattern_of(line: str) -> re.Pattern[str]:
    """What a line of shown output matches: any numbers, any spacing, anything for an ellipsis."""
    parts = re.split(rf"(…|{_NUMBER}|\s+)", line.strip())
    written = {"…": ".*"}

    def one(part: str) -> str:
        if part in written:
            return written[part]
        if part.isspace():
            return r"\s+"
        return _NUMBER if re.fullmatch(_NUMBER, part) else re.escape(part)

    return re.compile(r"\s*" + "".join(one(part) for part in parts if part) + r"\s*")


def run(command: Command, folder: Path) -> None:
    """Run a command of the page in `folder`.

    Raises:
        AssertionError: It fails, or a shown line is missing from what it prints.
    """
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", command.line],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "COLUMNS": "200", "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"$ {command.line}\n{done.stdout}"
    printed = done.stdout.splitlines()
    for line in command.output:
        if line.strip() in ("…", ""):
            continue
        wanted = pattern_of(line)
        found = any(wanted.fullmatch(got) for got in printed)
        assert found, f"$ {command.line}\nno line like: {line}\n{done.stdout}"


def run_page(page: str, folder: Path) -> int:
    """Go through a page from top to bottom in a clean folder; returns the number of commands."""
    count = 0
    for step in steps(page):
        if isinstance(step, Command):
            run(step, folder)
            count += 1
        else:
            (folder / step[0]).write_text(step[1], encoding="utf-8")
    return count
