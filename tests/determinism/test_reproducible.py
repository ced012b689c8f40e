"""The same inputs give the same files: again, elsewhere, under other hash seeds, with more threads."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.determinism.make_artifact import compile_here

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    "first": {"PYTHONHASHSEED": "0", "TVM_NUM_THREADS": "1"},
    "again-two-threads": {"PYTHONHASHSEED": "1", "TVM_NUM_THREADS": "2"},
    "elsewhere": {"PYTHONHASHSEED": "2", "TVM_NUM_THREADS": "1", "TZ": "Asia/Tokyo"},
}


def digests(folder: Path, environment: dict[str, str]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.determinism.make_artifact", str(folder)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if re.match(r"[0-9a-f]{64} ", line)]


def test_runs_agree(tmp_path):
    folders = {name: tmp_path / name for name in RUNS}
    folders["elsewhere"] = tmp_path / "a b" / "deep" / "er"
    made = {name: digests(folders[name], environment) for name, environment in RUNS.items()}
    assert len(made["first"]) >= 8
    for name, lines in made.items():
        assert lines == made["first"], name


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproducible")
    return folder, compile_here(folder).with_suffix(".json").read_text()


def test_manifest_holds_no_path_host_or_time(manifest):
    folder, text = manifest
    for private in (str(folder), folder.name, str(Path.home()), str(ROOT)):
        assert private not in text, private
    assert not re.search(rf"(?<![\w-]){re.escape(platform.node())}(?![\w-])", text)
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\d\d:\d\d:\d\d", text)


def test_manifest_holds_no_line_of_this_machine(manifest):
    from vacc_deploy.cpu import cpu_name

    assert cpu_name() not in manifest[1]
