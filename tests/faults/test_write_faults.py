"""Every moment of writing an artifact may be its last: what lies there afterwards is whole, old or new."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from fault import Fault, die, fill_disk, interrupt, survives
from small_artifact import FILES, version_at, write_version

from vacc_deploy.artifact import find_newest, read_artifact
from vacc_deploy.errors import ArtifactError, FileError
from vacc_deploy.safe_io import staged, write_text_atomic

_PLENTY = 30  # moments that a compile must survive being killed at

# Every moment takes half a minute; the fast suite samples them.
each_moment = pytest.mark.parametrize(
    "step", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some moments", "all moments"]
)


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies loses nothing that it wrote; only a power cut would, and that is not tested."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def _moments(work: Callable[[], object]) -> int:
    with Fault(0, die) as counter:
        work()
    return counter.seen


def _neighbours(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".so")


def _can_exchange(monkeypatch: pytest.MonkeyPatch, yes: bool) -> None:
    if not yes:  # as on systems without renameat2
        monkeypatch.setattr(staged, "_exchange", lambda _first, _second: False)


@each_moment
@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "two renames"])
def test_killed_over_an_old_artifact(
    exchange: bool, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _can_exchange(monkeypatch, exchange)
    target = tmp_path / "model"
    write_version(target, "v1")
    (tmp_path / "version2.so").write_bytes(b"version2")
    found: list[str] = []
    for moment in range(1, 100_000, step):
        finished = survives(lambda: write_version(target, "version2"), moment)
        if not exchange and not target.exists():
            # Without an atomic swap the old folder is aside for an instant; the next writer brings it back.
            with pytest.raises(ArtifactError):
                read_artifact(target)
            with pytest.raises(KeyError), staged.staged_directory(target):
                raise KeyError
        found.append(version_at(target))
        assert find_newest(tmp_path) == target / "mod", "a temporary folder is no artifact"
        write_version(target, "v1")
        assert _neighbours(tmp_path) == ["model"], f"leftovers of moment {moment} stay"
        if finished:
            break
    print(f"{len(found)} moments")
    assert len(found) > _PLENTY
    assert set(found) == {"v1", "version2"}
    assert found == sorted(found), "once the new one is there it stays"


@each_moment
def test_killed_without_an_old_artifact(step: int, tmp_path: Path) -> None:
    target = tmp_path / "model"
    (tmp_path / "v1.so").write_bytes(b"v1")
    for moment in range(1, 100_000, step):
        finished = survives(lambda: write_version(target, "v1"), moment)
        assert not target.exists() or version_at(target) == "v1"
        shutil.rmtree(target, ignore_errors=True)
        if finished:
            break
    assert moment > _PLENTY
    write_version(target, "v1")
    assert _neighbours(tmp_path) == ["model"]


@each_moment
@pytest.mark.parametrize(
    ("action", "error"),
    [(interrupt, KeyboardInterrupt), (fill_disk, FileError)],
    ids=["interrupt", "disk full"],
)
def test_failing_at_any_moment(
    action: Callable[[], None], error: type[BaseException], step: int, tmp_path: Path
) -> None:
    target = tmp_path / "model"
    write_version(target, "v1")
    (tmp_path / "version2.so").write_bytes(b"version2")
    for moment in range(1, 1 + _moments(lambda: write_version(target, "version2")), step):
        write_version(target, "v1")
        try:
            with Fault(moment, action):
                write_version(target, "version2")
        except (error, OSError):  # OSError: outside any block that translates it, as no real call would
            pass
        assert version_at(target) in ("v1", "version2")
        leftovers = [name for name in _neighbours(tmp_path) if name != "model"]
        # An interrupt during the clean-up itself leaves the rest of it to the next writer.
        assert not leftovers or version_at(target) == "version2" or _sweeps(target, leftovers)


def _sweeps(target: Path, leftovers: list[str]) -> bool:
    """Whether a writer of another process would remove what lies there."""
    child = os.fork()
    if child == 0:
        staged._is_running = lambda _process: False  # type: ignore[assignment]
        staged._sweep(target)
        os._exit(0)
    os.waitpid(child, 0)
    return not any((target.parent / name).exists() for name in leftovers)


def test_a_running_writers_folder_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with staged.staged_directory(target) as folder:
        write_version(target, "v1")
        assert folder.is_dir()
        (folder / "mod.json").write_text("{}")
        assert find_newest(tmp_path) == target / "mod"


def test_writers_at_the_same_time(tmp_path: Path) -> None:
    target = tmp_path / "model"
    versions = ["v" * length for length in range(1, 5)]
    for version in versions:
        (tmp_path / f"{version}.so").write_bytes(version.encode())
    with ThreadPoolExecutor(len(versions)) as pool:
        for _ in range(10):
            list(pool.map(lambda version: write_version(target, version), versions))
            assert version_at(target) in versions
    assert _neighbours(tmp_path) == ["model"]


def test_a_reader_never_mixes_two_artifacts(tmp_path: Path) -> None:
    target = tmp_path / "model"
    write_version(target, "v1")
    done = threading.Event()

    def keep_writing() -> None:
        while not done.is_set():
            write_version(target, "version2")
            write_version(target, "v1")

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(keep_writing)
        whole = 0
        try:
            for _ in range(300):
                with suppress(ArtifactError, FileError):  # refused, which is fine; a mixture would not be
                    artifact = read_artifact(target)
                    assert artifact.params()[0][0] == len(artifact.manifest.name)
                    whole += 1
        finally:
            done.set()
        writer.result()
    assert whole


def test_foreign_files_survive(tmp_path: Path) -> None:
    target = tmp_path / "model"
    write_version(target, "v1")
    (target / "network.onnx").write_bytes(b"the model it is compiled from")
    (target / "notes").mkdir()
    (target / "notes" / "todo.txt").write_text("mine")
    write_version(target, "version2")
    assert (target / "network.onnx").read_bytes() == b"the model it is compiled from"
    assert (target / "notes" / "todo.txt").read_text() == "mine"
    assert sorted(path.name for path in target.iterdir()) == sorted([*FILES, "network.onnx", "notes"])


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "Documents"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="holds other files"):
        write_version(target, "v1")
    assert _neighbours(target) == ["thesis.tex"]


def test_a_linked_folder_stays_linked(tmp_path: Path) -> None:
    disk = tmp_path / "big disk é"
    disk.mkdir()
    target = tmp_path / "model"
    target.symlink_to(disk / "model")
    for version in ("v1", "version2"):
        write_version(target, version)
        assert target.is_symlink()
        assert version_at(disk / "model") == version
    assert _neighbours(disk) == ["model"]
    assert _neighbours(tmp_path) == ["big disk é", "model"]


def test_one_file_killed_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    states = []
    for moment in range(1, 1000):
        finished = survives(lambda: write_text_atomic(path, "the new report"), moment)
        states.append(path.read_text())
        path.write_text("old")
        if finished:
            break
    assert set(states) == {"old", "the new report"}
    assert all(
        name == "report.html" or name.startswith(".report.html.tmp-") for name in _neighbours(tmp_path)
    )
