"""Loading equal instances of one network."""

from __future__ import annotations

from pathlib import Path

from vacc_deploy.artifact import read_artifact
from vacc_deploy.runtime.model import Model


def load_models(prefix: Path | str, instances: int = 1, threads: int | None = None) -> list[Model]:
    """Equal, independent instances of a network.

    Args:
        prefix: The artifact.
        instances: How many.
        threads: CPU threads of each; None means all.

    Raises:
        ArtifactError: The artifact is missing, damaged or made for another CPU.
    """
    artifact = read_artifact(prefix)
    return [Model(artifact, threads) for _ in range(instances)]
