"""Artifacts on disk: what is written is read back, and what is wrong with one is said by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from vacc_deploy.artifact import (
    FORMAT_VERSION,
    Layer,
    Manifest,
    SelfTest,
    TensorSpec,
    find_newest,
    read_artifact,
    write_artifact,
)
from vacc_deploy.errors import ArtifactError, VdeployError

FILES = ("mod.so", "mod.json", "mod.params", "mod.vectors")


def a_manifest(name: str = "net") -> Manifest:
    layer = Layer(
        "conv",
        "conv2d",
        "int8",
        "vacc_conv2d_0",
        ("conv", "conv_Q"),
        ("x",),
        "y",
        (1, 2, 3, 4),
        0.5,
        -3,
        99,
        "why",
    )
    return Manifest(
        name=name,
        dtype="int8",
        target="generic",
        isa="portable",
        requires=("sse2",),
        inputs=(TensorSpec("x", (1, 2, 3, 4), "float16"),),
        outputs=(TensorSpec("y", (1, 2, 3, 4), "float16"),),
        run_stream=(layer,),
        params=("b", "a"),
        versions={"vacc_deploy": "0"},
        config={"name": name},
    )


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    code = tmp_path / "code.so"
    code.write_bytes(b"not really code")
    params = {"a": np.arange(6, dtype=np.float32), "b": np.ones((2, 3), np.uint8)}
    test = SelfTest((np.zeros((1, 2, 3, 4), np.float16),))
    stage_files = {"calibration.json": b"{}"}
    return write_artifact(tmp_path / "deploy" / "net", a_manifest(), code, params, test, stage_files)


def test_what_was_written_is_read(prefix: Path) -> None:
    artifact = read_artifact(prefix)
    assert artifact.manifest == a_manifest()
    b, a = artifact.params()
    assert (a.tolist(), a.dtype, b.shape, b.dtype) == (list(range(6)), np.float32, (2, 3), np.uint8)
    assert artifact.self_test().input[0].shape == (1, 2, 3, 4)
    assert artifact.code.read_bytes() == b"not really code"
    assert (prefix.parent / "calibration.json").read_bytes() == b"{}"
    assert artifact.damaged_files() == []


@pytest.mark.parametrize("name", ["", "mod", "mod.so", "mod.json", "mod.params"])
def test_every_way_to_name_an_artifact(prefix: Path, name: str) -> None:
    assert read_artifact(prefix.parent / name if name else prefix.parent).manifest.name == "net"


def test_digests_are_sha256sums(prefix: Path) -> None:
    import hashlib

    lines = (prefix.parent / "mod.sha256").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == list(FILES)
    for line in lines:
        digest, name = line.split("  ")
        assert digest == hashlib.sha256((prefix.parent / name).read_bytes()).hexdigest()


def edited(prefix: Path, **changes: object) -> None:
    path = prefix.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_newer_format_is_refused_by_name(prefix: Path) -> None:
    edited(prefix, format=FORMAT_VERSION + 1)
    with pytest.raises(ArtifactError, match=f"format {FORMAT_VERSION + 1}") as caught:
        read_artifact(prefix)
    assert "upgrade" in str(caught.value.hint)


WRONG = {
    "not-ours": {"format": "one"},
    "format-zero": {"format": 0},
    "unknown-field": {"surprise": 1},
    "no-stream": {"run_stream": None},
    "text-for-shape": {"inputs": [{"name": "x", "shape": "wide", "dtype": "float16"}]},
    "name-repaints-terminal": {"name": "\x1b[2J"},
    "layer-lacks-a-field": {"run_stream": [{"name": "conv"}]},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_a_wrong_manifest_is_an_artifact_error(prefix: Path, changes: dict[str, object]) -> None:
    edited(prefix, **changes)
    with pytest.raises(ArtifactError) as caught:
        read_artifact(prefix)
    assert "mod.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1, "format": 1}', "\0" * 50], ids=repr)
def test_a_manifest_that_is_no_json_object(prefix: Path, text: str) -> None:
    prefix.with_suffix(".json").write_text(text)
    with pytest.raises(VdeployError):
        read_artifact(prefix)


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_is_named(prefix: Path, name: str) -> None:
    path = prefix.parent / name
    data = bytearray(path.read_bytes())
    data[-1] ^= ord("\n") ^ ord(" ")  # mod.json stays JSON
    path.write_bytes(data)
    assert read_artifact(prefix).damaged_files() == [name]


@pytest.mark.parametrize("name", ["mod.so", "mod.params", "mod.vectors"])
def test_a_truncated_file_is_named(prefix: Path, name: str) -> None:
    path = prefix.parent / name
    path.write_bytes(path.read_bytes()[:-3])
    assert read_artifact(prefix).damaged_files() == [name]


@pytest.mark.parametrize("name", ["mod.so", "mod.params", "mod.vectors", "mod.sha256"])
def test_a_missing_file_is_named(prefix: Path, name: str) -> None:
    (prefix.parent / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        read_artifact(prefix).damaged_files()


def test_a_swapped_file_is_named(prefix: Path, tmp_path: Path) -> None:
    code = tmp_path / "other.so"
    code.write_bytes(b"other code")
    other = write_artifact(tmp_path / "other", a_manifest("other"), code, {"a": np.zeros(2)})
    shutil.copyfile(other.with_suffix(".params"), prefix.with_suffix(".params"))
    artifact = read_artifact(prefix)
    assert artifact.damaged_files() == ["mod.params"]
    with pytest.raises(ArtifactError, match="lacks"):
        artifact.params()


def test_truncated_params_are_an_error(prefix: Path) -> None:
    path = prefix.with_suffix(".params")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VdeployError, match=r"mod\.params|truncated|short|size"):
        read_artifact(prefix).params()


def test_no_artifact_says_where(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no artifact at"):
        read_artifact(tmp_path / "nothing" / "mod")


def test_the_newest_artifact_is_found(prefix: Path, tmp_path: Path) -> None:
    code = tmp_path / "code.so"
    newer = write_artifact(tmp_path / "deploy" / "deeper" / "newer", a_manifest("newer"), code, {})
    os.utime(prefix.with_suffix(".json"), (1, 1))
    assert find_newest(tmp_path / "deploy") == newer
    os.utime(newer.with_suffix(".json"), (0, 0))
    assert find_newest(tmp_path / "deploy") == prefix


def test_nothing_to_find(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no artifact under"):
        find_newest(tmp_path)


def test_the_same_artifact_twice_is_the_same_bytes(prefix: Path, tmp_path: Path) -> None:
    params = {"a": np.arange(6, dtype=np.float32), "b": np.ones((2, 3), np.uint8)}
    test = SelfTest((np.zeros((1, 2, 3, 4), np.float16),))
    again = write_artifact(tmp_path / "again", a_manifest(), tmp_path / "code.so", params, test)
    for name in (*FILES, "mod.sha256"):
        assert (again.parent / name).read_bytes() == (prefix.parent / name).read_bytes()


def test_a_self_test_survives_its_file() -> None:
    arrays = [np.full(2, index, np.float16) for index in range(12)]
    test = SelfTest(tuple(arrays), tuple(arrays[:1]), tuple(arrays[3:5]))
    again = SelfTest.from_arrays(test.to_arrays() | {"other": arrays[0]})
    for kind in ("input", "output", "float"):
        got, expected = getattr(again, kind), getattr(test, kind)
        assert [array.tolist() for array in got] == [array.tolist() for array in expected]


@pytest.mark.parametrize("kind", ["input", "output", "float"])
def test_a_self_test_of_another_network_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "code.so").write_bytes(b"x")
    test = SelfTest(**{kind: (np.zeros(2, np.float16),) * 7})
    params = {"a": np.zeros(2), "b": np.zeros(2)}
    prefix = write_artifact(tmp_path / "net", a_manifest(), tmp_path / "code.so", params, test)
    with pytest.raises(ArtifactError, match=f"has 7 {kind} arrays"):
        read_artifact(prefix).self_test()
