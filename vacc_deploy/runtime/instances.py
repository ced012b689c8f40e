"""Loading what a run stream consists of: instances of a network, and vdsp operators."""

from __future__ import annotations

from pathlib import Path

from vacc_deploy.artifact import read_artifact
from vacc_deploy.errors import ConfigError
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.vdsp import VdspOp


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


def load_vdsp_ops(path: Path) -> list[VdspOp]:
    """The operators of a vdsp JSON in order.

    Raises:
        VdeployError: The file cannot be read, or an operator or value in it is unknown.
    """
    from vacc_deploy.config import load_vdsp_params  # pydantic: a start-up cost for those who need it

    return [VdspOp.from_config(params.op_type, params.config) for params in load_vdsp_params(path)]


def load_vdsp_op(path: Path) -> VdspOp:
    """The one operator of a vdsp JSON that stands before a network.

    Raises:
        ConfigError: The file holds several.
    """
    ops = load_vdsp_ops(path)
    if len(ops) != 1:
        raise ConfigError(f"{path} holds {len(ops)} vdsp operators, a network takes one")
    return ops[0]
