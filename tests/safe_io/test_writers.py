"""Files and folders appear as a whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io import (
    open_atomic,
    sha256_of,
    staged_directory,
    write_bytes_atomic,
    write_text_atomic,
)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a b é.txt"
    write_text_atomic(path, "long old text")
    write_bytes_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert _names(path.parent) == [path.name]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text_atomic(tmp_path / "a", "x")
        with staged_directory(tmp_path / "d") as folder:
            (folder / "f").write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError], ids=lambda e: e.__name__)
def test_failure_leaves_the_old_file(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises((error, FileError)), open_atomic(path) as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="permission"):
        write_text_atomic(tmp_path / "a", "x")


def test_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(FileError, match="cannot write"):
        write_text_atomic(tmp_path / "a" / "b", "x")


def test_full_disk() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full to stand for a full disk")
    script = (
        "import os, tempfile\nfrom pathlib import Path\nfrom vacc_deploy.safe_io import write_bytes_atomic\n"
        "from vacc_deploy.errors import FileError\nimport resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "folder = Path(tempfile.mkdtemp())\n"
        "try:\n    write_bytes_atomic(folder / 'a', b'x' * 5000)\n"
        "except FileError as error:\n    print(error.what, list(folder.iterdir()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot write this file" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_staged_directory_replaces_the_whole_folder(tmp_path: Path) -> None:
    target = tmp_path / "deploy" / "model"
    for content in ("1", "2"):
        with staged_directory(target) as folder:
            (folder / f"only_{content}").write_text(content)
            assert not (target / f"only_{content}").exists()
        assert _names(target) == [f"only_{content}"]
    assert _names(target.parent) == ["model"]


def test_staged_directory_keeps_what_it_is_told_to(tmp_path: Path) -> None:
    target = tmp_path / "model"
    (target / "results").mkdir(parents=True)
    (target / "results" / "a.npz").write_text("mine")
    (target / "mod.so").write_text("old")
    with staged_directory(target, keep=lambda name: name == "results") as folder:
        (folder / "mod.json").write_text("new")
    assert _names(target) == ["mod.json", "results"]
    assert (target / "results" / "a.npz").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError], ids=lambda e: e.__name__)
def test_failure_leaves_the_old_folder(error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "model"
    with staged_directory(target) as folder:
        (folder / "a").write_text("old")
    with pytest.raises((error, FileError)), staged_directory(target) as folder:  # noqa: PT012
        (folder / "a").write_text("half")
        raise error
    assert (target / "a").read_text() == "old"
    assert _names(tmp_path) == ["model"]


def test_without_atomic_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vacc_deploy.safe_io.staged._exchange", lambda first, second: False)
    target = tmp_path / "model"
    for content in "12":
        with staged_directory(target) as folder:
            (folder / "a").write_text(content)
    assert (target / "a").read_text() == "2"
    assert _names(tmp_path) == ["model"]


def test_leftovers_of_the_dead_are_swept(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (tmp_path / f".model.tmp-{gone.stdout.strip()}-0123abcd").mkdir()
    (tmp_path / f".model.tmp-{os.getpid()}-0123abcd").mkdir()  # a writer that still runs
    with staged_directory(tmp_path / "model") as folder:
        (folder / "a").write_text("x")
    assert _names(tmp_path) == [f".model.tmp-{os.getpid()}-0123abcd", "model"]


def test_old_folder_comes_back_after_a_crash_between_renames(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    (tmp_path / f".model.old-{gone.stdout.strip()}").mkdir()
    (tmp_path / f".model.old-{gone.stdout.strip()}" / "a").write_text("old")
    with pytest.raises(ValueError, match="stop"), staged_directory(tmp_path / "model"):
        raise ValueError("stop")
    assert (tmp_path / "model" / "a").read_text() == "old"


def test_target_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")
    with pytest.raises(FileError, match="in the way"), staged_directory(tmp_path / "model"):
        pass


def test_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")
