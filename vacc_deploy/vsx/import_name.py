"""Makes ``import vaststreamx`` mean the emulation, in this process and in those that its script starts."""

from __future__ import annotations

import os
import runpy
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from vacc_deploy import vsx
from vacc_deploy.errors import VdeployError

MODULE_NAMES = ("vaststreamx", "_vaststreamx")

_ALIASES = str(Path(__file__).with_name("aliases"))
_PRELOAD = "VDEPLOY_VSX_WITH"  # the variable that tells children the files of --with


def emulate(preload: Sequence[Path] = ()) -> None:
    """Take the name in this process.

    An error of the emulation in one of the script's threads ends the whole program with exit code 1: scripts
    wait for results without a time limit, and would wait for ever.

    Args:
        preload: Python files to run; they register custom operators.
    """
    for name in MODULE_NAMES:
        sys.modules[name] = vsx
    threading.excepthook = _end_program_on_our_errors
    for path in preload:
        runpy.run_path(str(path), run_name="__preload__")


def emulate_in_children(preload: Sequence[Path] = ()) -> None:
    """Have the processes that this one starts take the name when they import it.

    Fresh interpreters inherit no module, only the environment (``subprocess``) and the search path
    (``multiprocessing`` by spawn or forkserver).

    Args:
        preload: As for `emulate`.
    """
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([_ALIASES, *([inherited] if inherited else [])])
    os.environ[_PRELOAD] = os.pathsep.join(str(path.resolve()) for path in preload)
    sys.path.insert(1, _ALIASES)  # behind the script's folder, where PYTHONPATH stands in a child


def emulate_as_child() -> None:
    """`emulate` with what the parent's `emulate_in_children` was given."""
    emulate([Path(path) for path in os.environ.get(_PRELOAD, "").split(os.pathsep) if path])


def _end_program_on_our_errors(problem: threading.ExceptHookArgs) -> None:
    threading.__excepthook__(problem)
    if isinstance(problem.exc_value, VdeployError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(problem.exc_value.exit_code)
