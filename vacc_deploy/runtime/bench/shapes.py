"""Does the shape on the command line belong to the artifact, and what to do if it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vacc_deploy.artifact import read_artifact
from vacc_deploy.errors import ArtifactError, ConfigError
from vacc_deploy.runtime.bench.settings import Shapes

if TYPE_CHECKING:
    from vacc_deploy.artifact import Manifest


def check_shapes(shapes: Shapes, manifest: Manifest, pictures: bool, prefix: Path) -> None:
    """Accept `-s` if it is the artifact's.

    A picture may have 3 channels where the network takes 1: the card's vdsp only handles 3. Token models may
    be given six shapes where the network has fewer inputs.

    Raises:
        ConfigError: It is another; the message names an artifact beside this one that has it, or says how to
            get one.
    """
    if _fits(shapes, manifest, pictures):
        return
    wanted = " ".join(_text(shape) for shape in shapes)
    others = [str(other) for other, found in artifacts_beside(prefix) if _fits(shapes, found, pictures)]
    own = ", ".join(_text(spec.shape[1:]) for spec in manifest.inputs)
    raise ConfigError(
        f"-s asks for {wanted}, the artifact takes {own}",
        where=str(prefix),
        why="an artifact is compiled for one input shape",
        hint=f"use -m {others[0]}"
        if others
        else f"leave -s out to measure {own}, or compile for {wanted} (compile --shape)",
    )


def picture_size(shapes: Shapes | None, manifest: Manifest) -> tuple[int, int]:
    """Height and width of made-up pictures: those of `-s`, else the network's input."""
    shape = shapes[0] if shapes else manifest.inputs[0].shape
    return shape[-2], shape[-1]


def artifacts_beside(prefix: Path) -> Iterator[tuple[Path, Manifest]]:
    """Readable artifacts in the same workspace, `prefix` itself left out, sorted by name."""
    for path in sorted(prefix.parent.parent.glob("*/mod.json")):
        candidate = path.with_suffix("")
        if candidate.resolve() == prefix.resolve():
            continue
        try:
            yield candidate, read_artifact(candidate).manifest
        except ArtifactError:
            continue


def _fits(shapes: Shapes, manifest: Manifest, pictures: bool) -> bool:
    inputs = manifest.inputs
    tokens = all(spec.dtype.startswith(("int", "uint")) for spec in inputs)
    if len(shapes) != len(inputs) and not (tokens and len(shapes) > len(inputs)):
        return False
    for shape, spec in zip(shapes, inputs, strict=False):
        accepted = {spec.shape, spec.shape[1:]}
        if pictures and len(spec.shape) == 4 and spec.shape[1] == 1:
            accepted.add((3, *spec.shape[2:]))
        if tuple(shape) not in accepted:
            return False
    return True


def _text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
