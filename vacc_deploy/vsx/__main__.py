"""``python -m vacc_deploy.vsx SCRIPT ARGS…``: `vdeploy vsx` for those who start scripts with python."""

from __future__ import annotations

import sys
from pathlib import Path

from vacc_deploy.errors import VdeployError
from vacc_deploy.vsx.script import run_as_program

_INTERRUPTED = 130  # 128 + the number of the signal, as shells count


def main() -> int:
    """Run the script named on the command line; returns the exit code."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print("usage: python -m vacc_deploy.vsx SCRIPT ARGS…", file=sys.stderr)
        return int(len(sys.argv) < 2)
    try:
        return run_as_program(Path(sys.argv[1]), sys.argv[2:])
    except VdeployError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
