"""Every hostile file gives one typed error that names it, quickly, in little memory, and runs nothing."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attack import Attack
from corpus import CORPUS
from hostile_checkpoints import PWNED

from vacc_deploy.errors import ErrorList, VdeployError

_CPU_SECONDS = 1.0
_READS = 3  # a neighbour slows one read down, a hostile file every one: the fastest counts
_MEMORY_BYTES = 200 << 20


@pytest.fixture(scope="module", autouse=True)
def _only_the_readers_are_timed() -> Iterator[None]:
    """Libraries are loaded before, and what the test process holds is not collected on a reader's time."""
    import cv2  # noqa: F401
    import onnx  # noqa: F401
    from PIL import Image

    Image.preinit()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", CORPUS)
def test_attack_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attack = CORPUS[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "inbox" / attack.name
    path.parent.mkdir(parents=True)
    attack.build(path)
    refusal, seconds = _refusal(attack, path)
    for _ in range(_READS - 1):
        if seconds >= _CPU_SECONDS:
            seconds = _refusal(attack, path)[1]
    assert seconds < _CPU_SECONDS, f"each of {_READS} reads took longer, the last {seconds:.2f} CPU s"
    errors = refusal.errors if isinstance(refusal, ErrorList) else (refusal,)
    assert any(attack.says in f"{error.what} {error.why}" for error in errors), str(refusal)
    for error in errors:
        assert error.where, "an error names its file"
        assert error.hint, "an error says what to do next"
        assert len(str(error)) < 2000, "a hostile file must not flood the terminal"
        assert "\x1b" not in str(error), "nor repaint it"
    assert not list(tmp_path.rglob(PWNED)), "code from the file ran"


def _refusal(attack: Attack, path: Path) -> tuple[VdeployError, float]:
    """The error that reading the file gives, and the processor seconds that this thread spent on it."""
    start = time.thread_time()
    with pytest.raises(VdeployError) as caught:
        attack.read(path)
    return caught.value, time.thread_time() - start


def test_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 60


def test_memory_stays_small(tmp_path: Path) -> None:
    """The whole corpus, read in one process, stays within the memory that one file is allowed."""
    script = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import cv2, onnx
from attack import Attack
from corpus import CORPUS
from vacc_deploy.errors import VdeployError
folder = Path({str(tmp_path)!r})
for name, attack in CORPUS.items():
    path = folder / name / attack.name
    path.parent.mkdir(parents=True)
    attack.build(path)
base = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
Path("/proc/self/clear_refs").write_text("5")
for name, attack in CORPUS.items():
    try:
        attack.read(folder / name / attack.name)
    except VdeployError:
        continue
    raise SystemExit(name)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024 - base)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < _MEMORY_BYTES
    assert not list(tmp_path.rglob(PWNED))
