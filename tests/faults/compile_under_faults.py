"""A script: compile again and again, each time failing at another file operation, and judge the result.

    python compile_under_faults.py kill|INT|TERM STEP

A child is forked from a process that has compiled before, so that one attempt takes a second.  File
operations are seen through Python's audit events: nothing in the package knows about this.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from fault import DEATH, die
from small_model import save_model

from vacc_deploy.artifact import read_artifact
from vacc_deploy.cli.app import main
from vacc_deploy.runtime.verify import verify_artifact
from vacc_deploy.safe_io import sha256_of

_EVENTS = frozenset(
    [
        "os.mkdir",
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.scandir",
        "shutil.rmtree",
        "subprocess.Popen",
        "tempfile.mkdtemp",
    ]
)
_FINISHED = 99  # before the moment came
_EXIT_CODES = {"kill": DEATH, "INT": 130, "TERM": 143}


class _FileOperations:
    """Counts a process's file operations and acts at one of them."""

    def __init__(self, moment: int, kind: str) -> None:
        self.moment, self.kind, self.seen = moment, kind, 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if not writes and event not in _EVENTS:
            return
        self.seen += 1
        if self.seen == self.moment:
            if self.kind == "kill":
                die()
            os.kill(os.getpid(), signal.SIGINT if self.kind == "INT" else signal.SIGTERM)


def _attempt(moment: int, kind: str, arguments: list[str]) -> int:
    """Exit code of a compile that fails at `moment`, in a child process."""
    child = os.fork()
    if child == 0:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        operations = _FileOperations(moment, kind)
        code = main(arguments)
        os._exit(code if operations.seen >= moment else _FINISHED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(kind: str, step: int) -> int:
    """Compile with a fault at every `step`-th file operation; returns how many were tried."""
    old, new = save_model(Path("old") / "model.onnx", 2), save_model(Path("new") / "model.onnx", 3)
    compile_old = ["compile", str(old), "-o", "out", "--name", "model"]
    compile_new = ["compile", str(new), "-o", "out", "--name", "model"]
    digests = {sha256_of(old): "old", sha256_of(new): "new"}
    scratch = Path(os.environ["TMPDIR"])
    assert main(compile_old) == 0
    tried, states = 0, []
    for moment in range(1, 10_000, step):
        code = _attempt(moment, kind, compile_new)
        if code == _FINISHED:
            break
        # A signal that arrives in a finaliser is lost, by Python's rules: then the work was done.
        assert code == _EXIT_CODES[kind] or (code == 0 and kind != "kill"), (
            f"operation {moment}: exit code {code}"
        )
        result = verify_artifact("out/model/mod")
        assert result.ok, f"operation {moment}: damaged {result.damaged}"
        assert result.replayed
        states.append(digests[read_artifact("out/model/mod").manifest.sources["checkpoint"]])
        if kind != "kill":
            left = [path.name for folder in (Path("out"), scratch) for path in folder.iterdir()]
            left = [name for name in left if "vdeploy-" in name or ".tmp-" in name]
            # Where the signal interrupts the clean-up itself, the next compile finishes it.
            assert not left or states[-1] == "new", f"operation {moment}: left {left}"
        if states[-1] == "new":
            assert _attempt(10_000, kind, compile_old) == _FINISHED
            assert os.listdir("out") == ["model"], f"operation {moment}: leftovers stay"
        tried += 1
    assert set(states) == {"old", "new"}, f"all attempts ended so: {states}"
    assert _attempt(10_000, kind, compile_new) == _FINISHED
    assert os.listdir("out") == ["model"]
    return tried


if __name__ == "__main__":
    print(run(sys.argv[1], int(sys.argv[2])), "faults")
