"""Read an artifact without running anything of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vacc_deploy.artifact.format import CODE, DIGESTS, MANIFEST, PARAMS, VECTORS, Manifest
from vacc_deploy.errors import ArtifactError, FileError
from vacc_deploy.safe_io import read_json, read_safetensors


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact's prefix and manifest; constants and vectors are read when asked for."""

    prefix: Path
    manifest: Manifest

    @property
    def code(self) -> Path:
        """Path of the shared object."""
        return self.prefix.with_name(self.prefix.name + CODE)

    def params(self) -> list[npt.NDArray[Any]]:
        """The constants in the order that the code takes them."""
        path = self._file(PARAMS)
        arrays = read_safetensors(path)
        missing = [name for name in self.manifest.params if name not in arrays]
        if missing:
            raise ArtifactError(
                f"{path} lacks {len(missing)} of {len(self.manifest.params)} tensors that the code needs",
                where=missing[0],
                hint="compile the model again, or copy all files of the prefix together",
            )
        return [arrays[name] for name in self.manifest.params]

    def vectors(self) -> dict[str, npt.NDArray[Any]]:
        """The stored test input (``input_0`` …) and its expected outputs (``output_0`` …)."""
        return read_safetensors(self._file(VECTORS))

    def damaged_files(self) -> list[str]:
        """Names of the files whose content is not what ``mod.sha256`` says.

        Raises:
            ArtifactError: A file or the list of digests is missing.
        """
        damaged = []
        listed = self._file(DIGESTS).read_text(encoding="ascii", errors="replace").split()
        digests = dict(zip(listed[1::2], listed[0::2], strict=False))
        for suffix in (CODE, MANIFEST, PARAMS, VECTORS):
            path = self._file(suffix)
            if digests.get(f"mod{suffix}") != hashlib.sha256(path.read_bytes()).hexdigest():
                damaged.append(path.name)
        return damaged

    def _file(self, suffix: str) -> Path:
        path = self.prefix.with_name(self.prefix.name + suffix)
        if not path.is_file():
            raise ArtifactError(
                f"the artifact has no {path.name}",
                where=str(path.parent),
                hint="copy all files of the prefix together, or compile the model again",
            )
        return path


def read_artifact(prefix: Path | str) -> Artifact:
    """The artifact at `prefix` (``…/mod``; its folder and ``…/mod.so`` are understood too).

    Raises:
        ArtifactError: Nothing is there, or it is damaged or of a newer format.
    """
    path = Path(prefix)
    if path.is_dir():
        path = path / "mod"
    if path.suffix in (CODE, MANIFEST, PARAMS):
        path = path.with_suffix("")
    manifest = path.with_name(path.name + MANIFEST)
    if not manifest.is_file():
        raise ArtifactError(
            f"no artifact at {prefix}",
            why=f"{manifest} does not exist",
            hint="vdeploy compile CONFIG prints the prefix that it wrote",
        )
    try:
        data = read_json(manifest)
    except FileError as error:
        raise ArtifactError(
            "the manifest cannot be read", where=str(manifest), why=error.what, hint="compile the model again"
        ) from error
    return Artifact(path, Manifest.from_json(data, str(manifest)))


def find_newest(folder: Path = Path("deploy_weights")) -> Path:
    """Prefix of the artifact under `folder` that was compiled last.

    Raises:
        ArtifactError: There is none.
    """
    found = sorted(folder.glob(f"**/mod{MANIFEST}"), key=lambda path: (path.stat().st_mtime, str(path)))
    if not found:
        raise ArtifactError(
            f"no artifact under {folder}/",
            hint="compile one first (vdeploy compile CONFIG), or name its prefix with -m",
        )
    return found[-1].with_suffix("")
