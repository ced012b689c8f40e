"""The result of looking at one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vacc_deploy.errors import ErrorList, VdeployError

Status = Literal["ok", "warning", "error"]


@dataclass(slots=True)
class Finding:
    """What is wrong with a file, one string per problem.

    Attributes:
        file: The file as the user named it.
        kind: What it was taken for: ``build``, ``vdsp``, ``model``.
        errors: What must be corrected, with place and hint.
        warnings: What to look at.
        notes: What has no effect here.
        facts: Measured or read from the file, for ``--json``.
        verdict: What the comparison of pre-processing came to, in a sentence; empty where none was made.
    """

    file: str
    kind: str = ""
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""

    @property
    def status(self) -> Status:
        """The worst that was found."""
        return "error" if self.errors else "warning" if self.warnings else "ok"

    def add(self, error: VdeployError) -> None:
        """Record an error, or each of a list of errors, as one line each."""
        for single in error.errors if isinstance(error, ErrorList) else (error,):
            self.errors.append(one_line(single.what, single.where, single.why, single.hint))

    def to_json(self) -> dict[str, Any]:
        """The row of ``vdeploy check --json``."""
        row: dict[str, Any] = {
            "file": self.file,
            "status": self.status,
            "errors": self.errors,
            "warnings": self.warnings,
            "kind": self.kind,
            "notes": self.notes,
        }
        return row | ({"facts": self.facts} if self.facts else {})


def one_line(what: str, where: str | None, why: str | None = None, hint: str | None = None) -> str:
    """``place: what (why); next: hint``."""
    text = f"{where}: {what}" if where else what
    text += f" ({why})" if why else ""
    return f"{text}; {hint}" if hint else text
