"""`vdeploy check`: lint config files, pre-flight models, compare pre-processing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vacc_deploy.cli.console import counted, print_json, print_note, progress_bar, stdout
from vacc_deploy.errors import ConfigError

if TYPE_CHECKING:
    from vacc_deploy.check import Finding

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy check build.yaml vdsp_params.json  # lint both, and compare their pre-processing",
    "vdeploy check --compare model_zoo/         # hundreds of files, a line each",
    "vdeploy check model.onnx                   # will it compile?",
)

_MANY = 10  # from here on each file gets one line
_MARKS = {"ok": "ok     ", "warning": "warning", "error": "error  "}
_INDENT = " " * 9  # to below the file's name


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(help="Build YAMLs, vdsp JSONs, ONNX or TorchScript files, folders.")
    ],
    compare: Annotated[
        bool | None,
        typer.Option(
            "--compare/--no-compare",
            help="Send pictures through a YAML's process_ops and through the vdsp JSONs of the same network; "
            "default: where one YAML is given with JSONs.",
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A picture to compare on instead of the samples; repeatable."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Every problem of every file, and what has no effect.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only files with something to say.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Rows of file, status, errors, warnings.")] = False,
) -> None:
    """Check config files, models, and whether calibration and run time prepare pictures alike."""
    from vacc_deploy.check import check_files, expand
    from vacc_deploy.check.pairs import compare_pairs, pair_up, require_comparable

    paths, others = expand(files)
    if not paths:
        raise ConfigError(
            "there is no build YAML or vdsp JSON in these folders", hint="name files, or another folder"
        )
    findings = check_files(paths)
    pairs = pair_up(findings)
    single = sum(finding.kind == "build" for finding in findings) == 1
    if compare and not any(finding.errors for finding in findings):
        require_comparable(pairs)
    if compare or (single and compare is None):
        with progress_bar("comparing", len(pairs)) as advance:
            compare_pairs(pairs, image or [], judge_kernel=single, done=advance)
    if json:
        print_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            if not quiet or finding.status != "ok":
                _print(finding, in_full=verbose or len(findings) < _MANY, with_notes=verbose)
    _summary(findings, len(others))
    worst = {finding.status for finding in findings}
    if "error" in worst or (strict and "warning" in worst):
        raise typer.Exit(1)


def _print(finding: Finding, *, in_full: bool, with_notes: bool) -> None:
    """One file: a line with its place and problem, or, in full, a line for each of several problems."""
    messages = [*finding.errors, *finding.warnings]
    if in_full and len(messages) > 1:
        stdout.print(f"{_MARKS[finding.status]}  {finding.file}: {_counts(finding)}")
        for message in messages:
            stdout.print(f"{_INDENT}{message}")
    else:
        first = _placed(finding.file, messages[0]) if messages else finding.file
        rest = f"; {counted(len(messages) - 1, 'more problem')}" if len(messages) > 1 else ""
        stdout.print(f"{_MARKS[finding.status]}  {first}{rest}")
    if finding.verdict and in_full:
        stdout.print(f"{_INDENT}{finding.verdict}")
    for note in finding.notes if with_notes else ():
        stdout.print(f"{_INDENT}note: {note}")


def _placed(file: str, message: str) -> str:
    return message if message.startswith(f"{file}:") else f"{file}: {message}"


def _counts(finding: Finding) -> str:
    found = {"error": len(finding.errors), "warning": len(finding.warnings)}
    return ", ".join(counted(number, word) for word, number in found.items() if number)


def _summary(findings: list[Finding], others: int) -> None:
    counts = {status: sum(finding.status == status for finding in findings) for status in _MARKS}
    found = ", ".join(f"{counts[status]} {status}" for status in _MARKS)
    left_out = f"; {counted(others, 'file')} of other programs left out" if others else ""
    print_note(f"{counted(len(findings), 'file')}: {found}{left_out}")
