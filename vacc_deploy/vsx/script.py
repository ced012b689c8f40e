"""Runs a vaststreamx script unchanged: only what ``import vaststreamx`` finds is ours."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from vacc_deploy.cpu import cpu_name
from vacc_deploy.errors import FileError, VdeployError
from vacc_deploy.vsx.import_name import emulate, emulate_in_children


def run_script(script: Path, arguments: Sequence[str] = (), preload: Sequence[Path] = ()) -> None:
    """Run a script as ``python SCRIPT ARGUMENTS`` would.

    Processes that the script starts (`multiprocessing`, or `subprocess` with ``sys.executable``) find the
    emulation too.

    Args:
        script: The script.
        arguments: Its arguments.
        preload: Python files to run first, here and in those processes; they register custom operators.

    Raises:
        FileError: A file does not exist.
        SystemExit: The script said so.
    """
    for path in (*preload, script):
        if not path.is_file():
            raise FileError(f"no script at {path}", hint="vdeploy vsx SCRIPT ARGS… runs a Python file")
    print(f"vaststreamx emulated on this CPU ({cpu_name()}), not the card", file=sys.stderr)
    emulate(preload)
    emulate_in_children(preload)
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(str(script), run_name="__main__")


def run_as_program(script: Path, arguments: Sequence[str] = (), preload: Sequence[Path] = ()) -> int:
    """`run_script` with Python's own report of the script's mistakes; returns the exit code.

    Raises:
        VdeployError: The emulation refuses something; its message needs no traceback.
        SystemExit: The script said so.
    """
    try:
        run_script(script, arguments, preload)
    except VdeployError:
        raise
    except Exception as error:
        traceback.print_exception(error.with_traceback(_traceback_of_script(error, script)), file=sys.stderr)
        if isinstance(error, ModuleNotFoundError) and error.name:
            print(f"next: the script needs a package: pip install {error.name}", file=sys.stderr)
        return 1
    return 0


def _traceback_of_script(error: BaseException, script: Path) -> TracebackType | None:
    """The part of a traceback that a user can act on: from the script's first line on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != str(script):
        trace = trace.tb_next
    return trace or error.__traceback__
