"""The errors people see: what went wrong, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class VdeployError(Exception):
    """A problem that the user can act on; the command line prints it without a traceback.

    Args:
        what: One sentence saying what went wrong.
        where: The place: ``file:line:column``, a layer, a tensor.
        why: The measured or known reason, if it adds something to `what`.
        hint: What to do next.
    """

    code: ClassVar[str] = "E000"
    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        lines = [f"error[{self.code}]: {self.what}"]
        if self.where:
            lines.append(f"  --> {self.where}")
        if self.why:
            lines.append(f"  = why: {self.why}")
        if self.hint:
            lines.append(f"  = next: {self.hint}")
        return "\n".join(lines)


class FileError(VdeployError):
    """A file cannot be read or written, or is not what its name says."""

    code = "E100"


class ConfigError(VdeployError):
    """A build YAML, vdsp JSON or command-line flag is wrong."""

    code = "E200"


class CheckpointError(VdeployError):
    """A checkpoint does not hold the weights that the network needs."""

    code = "E300"


class ModelError(VdeployError):
    """A network cannot be imported, exported or lowered."""

    code = "E400"


class DataError(VdeployError):
    """Calibration or evaluation data are missing, unreadable or of the wrong kind."""

    code = "E500"


class ArtifactError(VdeployError):
    """An artifact is missing, damaged, or made for another machine or version."""

    code = "E600"


class RunError(VdeployError):
    """A model was fed or used in a way that it does not support."""

    code = "E700"


class GateError(VdeployError):
    """The work was done and the result misses the limit that the user set."""

    code = "E800"
    exit_code = 2


class ErrorList(VdeployError):  # noqa: N818 - it is a list of errors
    """Several problems found in one pass, reported together; the first few in full."""

    code = "E001"
    shown: ClassVar[int] = 40

    def __init__(self, errors: Sequence[VdeployError]) -> None:
        super().__init__(f"{len(errors)} problems found")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        lines = [str(error) for error in self.errors[: self.shown]]
        if len(self.errors) > self.shown:
            lines.append(f"… and {len(self.errors) - self.shown} more problems")
        return "\n".join(lines)


def raise_together(errors: Sequence[VdeployError]) -> None:
    """Raise what one pass has found, if anything.

    Raises:
        VdeployError: The only error, or an `ErrorList` of them in their order.
    """
    if errors:
        raise errors[0] if len(errors) == 1 else ErrorList(errors)
