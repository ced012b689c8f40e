"""Check an artifact on this machine: its files' digests, and its code by the test vectors it carries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vacc_deploy.artifact import read_artifact
from vacc_deploy.runtime.model import Array, Model


@dataclass(slots=True)
class Verification:
    """What `verify_artifact` found.

    Attributes:
        damaged: Files whose content is not what ``mod.sha256`` says.
        outputs: Output name → number of elements that differ from the stored ones, bit for bit.
        replayed: Whether test vectors were there to replay.
    """

    damaged: list[str] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)
    replayed: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and no element differs."""
        return not self.damaged and not any(self.outputs.values())


def verify_artifact(prefix: Path | str) -> Verification:
    """Check digests first; only undamaged code is loaded and run.

    Raises:
        ArtifactError: A file is missing, or this CPU cannot run the code.
    """
    artifact = read_artifact(prefix)
    result = Verification(damaged=artifact.damaged_files())
    if result.damaged:
        return result
    test = artifact.self_test()
    result.replayed = bool(test.output)
    if not result.replayed:
        return result
    model = Model(artifact)
    outputs = model.run(stored_inputs(model))
    for spec, got, expected in zip(model.outputs, outputs, test.output, strict=True):
        same_bytes = got.view(np.uint8).reshape(*got.shape, -1) == expected.view(np.uint8).reshape(
            *got.shape, -1
        )
        result.outputs[spec.name] = int(np.count_nonzero(~same_bytes.all(axis=-1)))
    return result


def stored_inputs(model: Model) -> list[Array]:
    """The test input that an artifact carries; zeros where it carries none."""
    stored = model.artifact.self_test().input
    return list(stored) if stored else [np.zeros(spec.shape, spec.dtype) for spec in model.inputs]
