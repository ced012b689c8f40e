"""Write an artifact so that a reader sees the old one or the new one, never a part."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vacc_deploy.artifact.format import CODE, DIGESTS, MANIFEST, PARAMS, VECTORS, Manifest
from vacc_deploy.safe_io import staged_directory, write_safetensors

Arrays = Mapping[str, npt.NDArray[Any]]


def write_artifact(
    folder: Path,
    manifest: Manifest,
    code: Path,
    params: Arrays,
    vectors: Arrays,
    stage_files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the files of an artifact into `folder` and return its prefix ``folder/mod``.

    The folder appears by one rename. `code` is a finished shared object, copied in; `stage_files` (file
    name → content) lie beside it.
    """
    with staged_directory(folder) as staging:
        prefix = staging / "mod"
        shutil.copyfile(code, prefix.with_suffix(CODE))
        text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        prefix.with_suffix(MANIFEST).write_text(text + "\n", encoding="utf-8")
        write_safetensors(prefix.with_suffix(PARAMS), dict(params))
        write_safetensors(prefix.with_suffix(VECTORS), dict(vectors))
        lines = []
        for suffix in (CODE, MANIFEST, PARAMS, VECTORS):
            data = prefix.with_suffix(suffix).read_bytes()
            lines.append(f"{hashlib.sha256(data).hexdigest()}  mod{suffix}\n")
        prefix.with_suffix(DIGESTS).write_text("".join(lines))
        for name, content in (stage_files or {}).items():
            (staging / name).write_bytes(content)
    return folder / "mod"
