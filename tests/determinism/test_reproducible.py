"""The same inputs give the same files: again, elsewhere, under other hash seeds, with more threads."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
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
def artifact(tmp_path_factory):
    """The folder that a compile was given, and its files by name."""
    folder = tmp_path_factory.mktemp("reproducible")
    files = compile_here(folder).parent
    return folder, {path.name: path.read_bytes() for path in files.iterdir()}


def test_no_file_holds_a_path_or_the_machines_name(artifact):
    folder, files = artifact
    assert {"mod.json", "mod.params", "mod.so", "quantized.onnx"} <= files.keys()
    host = re.compile(rb"(?<![\w-])" + re.escape(platform.node().encode()) + rb"(?![\w-])")
    tells = len(platform.node()) > 5  # a shorter name may stand among numbers by chance
    for name, data in files.items():
        for private in (str(folder), folder.name, str(Path.home()) + "/", str(ROOT), tempfile.gettempdir()):
            assert private.encode() not in data, f"{name}: {private}"
        if tells or name.endswith(".json"):
            assert not host.search(data), name


def test_no_file_holds_a_time(artifact):
    _, files = artifact
    stamp = re.compile(rb"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b")
    texts = {name: data for name, data in files.items() if name != "mod.params"}  # random bytes may look so
    assert {name: found for name, data in texts.items() if (found := stamp.findall(data))} == {}


def test_manifest_holds_no_line_of_this_machine(artifact):
    from vacc_deploy.cpu import cpu_name

    assert cpu_name().encode() not in artifact[1]["mod.json"]
