"""``vdeploy verify``: digests first, then the stored test vectors, bit for bit."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from vacc_deploy.errors import ArtifactError
from vacc_deploy.runtime.verify import verify_artifact
from vacc_deploy.safe_io import read_safetensors, write_safetensors


@pytest.fixture
def prefix(tiny_artifact: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_artifact.parent, tmp_path / "copy")
    return tmp_path / "copy" / "mod"


def renew_digests(prefix: Path) -> None:
    names = ("mod.so", "mod.json", "mod.params", "mod.vectors")
    lines = [f"{hashlib.sha256((prefix.parent / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (prefix.parent / "mod.sha256").write_text("".join(lines))


def test_a_sound_artifact(prefix: Path) -> None:
    result = verify_artifact(prefix)
    assert result.ok
    assert result.replayed
    assert result.outputs == {"double": 0}


def test_other_outputs_are_counted_to_the_bit(prefix: Path) -> None:
    path = prefix.with_suffix(".vectors")
    vectors = {name: array.copy() for name, array in read_safetensors(path).items()}
    flat = vectors["output_0"].reshape(-1)
    flat[:3] = np.nextafter(flat[:3], np.float16(1))
    write_safetensors(path, vectors)
    renew_digests(prefix)
    result = verify_artifact(prefix)
    assert not result.ok
    assert result.outputs == {"double": 3}


@pytest.mark.parametrize("name", ["mod.so", "mod.params", "mod.vectors"])
def test_a_damaged_file_is_named_and_nothing_runs(prefix: Path, name: str) -> None:
    path = prefix.parent / name
    path.write_bytes(path.read_bytes() + b"\0")
    result = verify_artifact(prefix)
    assert result.damaged == [name]
    assert not result.ok
    assert not result.replayed


def test_without_vectors_nothing_is_replayed(prefix: Path) -> None:
    write_safetensors(prefix.with_suffix(".vectors"), {})
    renew_digests(prefix)
    result = verify_artifact(prefix)
    assert result.ok
    assert not result.replayed


def test_a_missing_file_is_an_error(prefix: Path) -> None:
    prefix.with_suffix(".vectors").unlink()
    with pytest.raises(ArtifactError, match=r"mod\.vectors"):
        verify_artifact(prefix)
