"""Read every file of a dataset once, and report all the bad ones together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vacc_deploy.errors import VdeployError, raise_together

_T = TypeVar("_T")


def read_each(files: Sequence[Path], read: Callable[[Path], _T]) -> Iterator[_T]:
    """Yield ``read(file)`` file by file; memory holds one result.

    After the first file that fails nothing is yielded any more, but the rest is still read, so that one
    run names every bad file.

    Raises:
        VdeployError: The only failure, or an `ErrorList` of them in file order.
    """
    errors: list[VdeployError] = []
    for path in files:
        try:
            value = read(path)
        except VdeployError as error:
            errors.append(error)
            continue
        if not errors:
            yield value
    raise_together(errors)


def about_file(path: Path, error: VdeployError) -> VdeployError:
    """The same error, saying which file met it."""
    where = f"{path}, {error.where}" if error.where else str(path)
    return type(error)(error.what, where=where, why=error.why, hint=error.hint)
