"""`vdeploy check`: lint config files, pre-flight models, compare pre-processing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vacc_deploy.check import Finding, check_files, expand
from vacc_deploy.cli.console import print_json, print_note, stdout
from vacc_deploy.errors import ConfigError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_MANY = 10  # from here on each file gets one line
_MARKS = {"ok": "ok     ", "warning": "warning", "error": "error  "}


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(help="Build YAMLs, vdsp JSONs, ONNX or TorchScript files, folders.")
    ],
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare a YAML's process_ops with each vdsp JSON on a picture.")
    ] = False,
    image: Annotated[
        list[Path] | None, typer.Option(help="Pictures for --compare instead of the sample.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every problem of every file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only files with something to say.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Rows of file, status, errors, warnings.")] = False,
) -> None:
    """Check config files, models, and whether calibration and run time prepare pictures alike."""
    paths = expand(files)
    if not paths:
        raise ConfigError("there is no YAML or JSON in these folders", hint="name files, or another folder")
    findings = check_files(paths)
    if compare:
        from vacc_deploy.check.pairs import compare_pairs

        compare_pairs(findings, image or [])
    if json:
        print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            _print(finding, quiet, verbose or compare or len(findings) < _MANY)
        _summary(findings)
    worst = {finding.status for finding in findings}
    if "error" in worst or (strict and "warning" in worst):
        raise typer.Exit(1)


def _print(finding: Finding, quiet: bool, in_full: bool) -> None:
    if quiet and finding.status == "ok":
        return
    messages = [*finding.errors, *finding.warnings]
    first = f"  {messages[0]}" if messages else ""
    stdout.print(f"{_MARKS[finding.status]}  {finding.file}{_count(finding)}{first}", markup=False)
    for message in messages[1:] if in_full else ():
        stdout.print(f"         {message}", markup=False)


def _count(finding: Finding) -> str:
    parts = [
        f"{len(found)} {word}{'s' if len(found) > 1 else ''}"
        for word, found in (("error", finding.errors), ("warning", finding.warnings))
        if found
    ]
    return f": {', '.join(parts)}" if parts else ""


def _summary(findings: list[Finding]) -> None:
    counts = {status: sum(finding.status == status for finding in findings) for status in _MARKS}
    found = ", ".join(f"{counts[status]} {status}" for status in _MARKS)
    print_note(f"{len(findings)} files: {found}")
