"""Makes the n-th moment of a piece of work go wrong: the process dies, is interrupted, or has a full disk.

A moment is a line that is executed in one of the modules that write files, seen by `sys.settrace`: between
any two lines anything may happen, and nothing else of the program has to know.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

WRITERS = (
    "vacc_deploy/artifact/writer.py",
    "vacc_deploy/safe_io/atomic.py",
    "vacc_deploy/safe_io/safetensors_file.py",
    "vacc_deploy/safe_io/staged.py",
)
DEATH = 77  # exit code of a process that was made to die


def die() -> None:
    """What SIGKILL or a power cut does: no handler, no `finally`, no flush."""
    os._exit(DEATH)


def interrupt() -> None:
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def fill_disk() -> None:
    """What the next write on a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Fault:
    """Counts moments and makes one of them go wrong.

    Args:
        moment: Which, from 1; 0 only counts.
        action: What happens then.
        files: Ends of the paths of the modules whose lines count.
    """

    def __init__(self, moment: int, action: Callable[[], None], files: tuple[str, ...] = WRITERS) -> None:
        self.moment = moment
        self.action = action
        self.files = files
        self.seen = 0

    def __enter__(self) -> Fault:
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _enter_frame(self, frame: FrameType, event: str, _argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.endswith(self.files) else None

    def _line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self.seen += 1
            if self.seen == self.moment:
                sys.settrace(None)
                self.action()
        return self._line


def survives(work: Callable[[], object], moment: int) -> bool:
    """Run `work` in a child process that dies at `moment`; whether it finished before."""
    child = os.fork()
    if child == 0:
        try:
            with Fault(moment, die):
                work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) != DEATH
