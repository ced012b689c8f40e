"""Artifacts small enough to be written a thousand times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vacc_deploy.artifact import Manifest, SelfTest, TensorSpec, read_artifact, write_artifact

FILES = ["calibration.json", "mod.json", "mod.params", "mod.sha256", "mod.so", "mod.vectors"]


def write_version(folder: Path, version: str) -> Path:
    """Write an artifact whose every file says which version it is of."""
    code = folder.parent / f"{version}.so"
    if not code.exists():
        code.write_bytes(version.encode())
    spec = TensorSpec("x", (1, 2), "float16")
    manifest = Manifest(
        name=version,
        dtype="fp16",
        target="generic",
        isa="portable",
        requires=(),
        inputs=(spec,),
        outputs=(spec,),
        run_stream=(),
        params=("w",),
        versions={},
    )
    array = np.full(64, len(version), np.float32)
    stages = {"calibration.json": version.encode()}
    return write_artifact(folder, manifest, code, {"w": array}, SelfTest((array,)), stages)


def version_at(folder: Path) -> str:
    """Which version lies there: every file complete and of the same version."""
    artifact = read_artifact(folder / "mod")
    version = artifact.manifest.name
    assert artifact.damaged_files() == []
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert artifact.code.read_text() == version
    assert artifact.params()[0][0] == artifact.self_test().input[0][0] == len(version)
    assert (folder / "calibration.json").read_text() == version
    return version
