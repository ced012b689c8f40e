"""Read an artifact without running anything of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from vacc_deploy.artifact.format import CODE, DIGESTS, MANIFEST, PARAMS, VECTORS, Manifest
from vacc_deploy.artifact.self_test import SelfTest
from vacc_deploy.errors import ArtifactError, FileError
from vacc_deploy.safe_io import read_json, read_safetensors, read_text, sha256_of


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact's prefix and manifest; constants and the self-test are read when asked for.

    Attributes:
        prefix: ``…/mod``.
        manifest: What it says about itself.
        stamp: Which file the manifest was read from; a compile into the same place puts another there.
    """

    prefix: Path
    manifest: Manifest
    stamp: tuple[int, ...]

    @property
    def code(self) -> Path:
        """Path of the shared object."""
        return self.prefix.with_name(self.prefix.name + CODE)

    def params(self) -> list[npt.NDArray[Any]]:
        """The constants in the order that the code takes them.

        Raises:
            ArtifactError: They are missing, or the artifact was replaced since its manifest was read.
            FileError: The file is damaged.
        """
        path = self._file(PARAMS)
        arrays = read_safetensors(path)
        self._require_unchanged()
        missing = [name for name in self.manifest.params if name not in arrays]
        if missing:
            raise ArtifactError(
                f"{path} lacks {len(missing)} of {len(self.manifest.params)} tensors that the code needs",
                where=missing[0],
                hint="compile the model again, or copy all files of the prefix together",
            )
        return [arrays[name] for name in self.manifest.params]

    def self_test(self) -> SelfTest:
        """The stored test input and its expected outputs.

        Raises:
            ArtifactError: They are missing or another network's, or the artifact was replaced meanwhile.
            FileError: The file is damaged.
        """
        path = self._file(VECTORS)
        test = SelfTest.from_arrays(read_safetensors(path))
        self._require_unchanged()
        inputs, outputs = len(self.manifest.inputs), len(self.manifest.outputs)
        for kind, arrays, count in (
            ("input", test.input, inputs),
            ("output", test.output, outputs),
            ("float", test.float, outputs),
        ):
            if arrays and len(arrays) != count:
                raise ArtifactError(
                    f"the self-test has {len(arrays)} {kind} arrays, the network needs {count}",
                    where=str(path),
                    hint="compile the model again, or copy all files of the prefix together",
                )
        return test

    def damaged_files(self) -> list[str]:
        """Names of the files whose content is not what ``mod.sha256`` says.

        Raises:
            ArtifactError: A file or the list of digests is missing.
            FileError: One of them cannot be read.
        """
        digests = _digests(self._file(DIGESTS))
        paths = {suffix: self._file(suffix) for suffix in (CODE, MANIFEST, PARAMS, VECTORS)}
        return [path.name for suffix, path in paths.items() if digests.get(f"mod{suffix}") != sha256_of(path)]

    def require_own_code(self) -> None:
        """Refuse code that does not belong to this artifact; where no digests were copied along, trust it.

        Loading the rest of a shared object that was cut short kills the process, and another compile's code
        takes other arguments.

        Raises:
            ArtifactError: The code is missing, damaged or another artifact's.
            FileError: It cannot be read.
        """
        code, digests = self._file(CODE), self.prefix.with_name(self.prefix.name + DIGESTS)
        own = not digests.is_file() or _digests(digests).get(f"mod{CODE}") == sha256_of(code)
        self._require_unchanged()
        if not own:
            raise ArtifactError(
                "the code is not what was compiled",
                where=str(code),
                why=f"its digest is not the one in {digests.name}: it is damaged, or of another compile",
                hint="copy all files of the prefix together, or compile the model again",
            )

    def _require_unchanged(self) -> None:
        """One artifact's manifest with another's constants would compute nonsense without a word."""
        if _stamp(self.prefix.with_name(self.prefix.name + MANIFEST)) != self.stamp:
            raise ArtifactError(
                "the artifact was replaced while it was read",
                where=str(self.prefix),
                why="another process compiled into the same place",
                hint="run the command again",
            )

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
    stamp = _stamp(manifest)
    try:
        data = read_json(manifest)
    except FileError as error:
        raise ArtifactError(
            "the manifest cannot be read", where=str(manifest), why=error.what, hint="compile the model again"
        ) from error
    artifact = Artifact(path, Manifest.from_json(data, str(manifest)), stamp)
    artifact._require_unchanged()
    return artifact


def find_newest(folder: Path = Path("deploy_weights")) -> Path:
    """Prefix of the artifact under `folder` that was compiled last.

    Raises:
        ArtifactError: There is none.
    """
    found = sorted(
        (path for path in folder.glob(f"**/mod{MANIFEST}") if not _is_unfinished(path.relative_to(folder))),
        key=lambda path: (path.stat().st_mtime, str(path)),
    )
    if not found:
        raise ArtifactError(
            f"no artifact under {folder}/",
            hint="compile one first (vdeploy compile CONFIG), or name its prefix with -m",
        )
    return found[-1].with_suffix("")


def _is_unfinished(path: Path) -> bool:
    """Whether a file lies in a folder that a compile is still writing, or was killed over."""
    return any(part.startswith(".") for part in path.parts)


def _digests(file: Path) -> dict[str, str]:
    """File name → SHA-256 in hexadecimal, from lines as sha256sum writes them."""
    listed = read_text(file).split()
    return dict(zip(listed[1::2], listed[0::2], strict=False))


def _stamp(file: Path) -> tuple[int, ...]:
    """What tells a file from the one that replaced it; the inode alone may be given out again."""
    try:
        status = file.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size
