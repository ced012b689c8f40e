"""Write an artifact so that a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vacc_deploy.artifact.format import CODE, DIGESTS, MANIFEST, PARAMS, STAGE_FILES, VECTORS, Manifest
from vacc_deploy.artifact.self_test import SelfTest
from vacc_deploy.errors import ArtifactError
from vacc_deploy.safe_io import staged_directory, write_safetensors

Arrays = Mapping[str, npt.NDArray[Any]]

_NO_TEST = SelfTest()

_OWN_FILES = frozenset(
    {*(f"mod{suffix}" for suffix in (CODE, MANIFEST, PARAMS, VECTORS, DIGESTS)), *STAGE_FILES}
)


def write_artifact(
    folder: Path,
    manifest: Manifest,
    code: Path,
    params: Arrays,
    self_test: SelfTest = _NO_TEST,
    stage_files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the files of an artifact into `folder` and return its prefix ``folder/mod``.

    The folder appears by one rename; files of an older artifact there are replaced, all others kept. `code`
    is a finished shared object, copied in; `stage_files` (file name → content) lie beside it.

    Raises:
        ArtifactError: `folder` is there and is not an artifact's.
        FileError: It cannot be written; what was there before is untouched.
    """
    require_own_folder(folder)
    with staged_directory(folder, keep=lambda name: name not in _OWN_FILES) as staging:
        prefix = staging / "mod"
        shutil.copyfile(code, prefix.with_suffix(CODE))
        text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        prefix.with_suffix(MANIFEST).write_text(text + "\n", encoding="utf-8")
        write_safetensors(prefix.with_suffix(PARAMS), dict(params))
        write_safetensors(prefix.with_suffix(VECTORS), self_test.to_arrays())
        lines = []
        for suffix in (CODE, MANIFEST, PARAMS, VECTORS):
            data = prefix.with_suffix(suffix).read_bytes()
            lines.append(f"{hashlib.sha256(data).hexdigest()}  mod{suffix}\n")
        prefix.with_suffix(DIGESTS).write_text("".join(lines))
        for name, content in (stage_files or {}).items():
            (staging / name).write_bytes(content)
    return folder / "mod"


def require_own_folder(folder: Path) -> None:
    """Refuse to write among files that have nothing to do with an artifact: a name may be mistyped.

    Raises:
        ArtifactError: `folder` is there, holds other files, and no artifact.
    """
    if not folder.is_dir() or (folder / f"mod{MANIFEST}").is_file():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in _OWN_FILES)
    if others:
        shown = ", ".join(others[:3])
        raise ArtifactError(
            "the artifact's folder holds other files",
            where=str(folder),
            why=f"{len(others)} files, such as {shown}, and no mod{MANIFEST}",
            hint="choose another --name or --output",
        )
