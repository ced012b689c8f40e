"""`vsx.Model`: an artifact of `vdeploy compile`, with the attributes that scripts read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vacc_deploy.runtime.model import Model as CompiledModel
from vacc_deploy.vsx.errors import UnsupportedError

_MAX_BATCH_SIZE = 256  # the emulation computes a batch item by item; scripts only ask that theirs fits


class Model:
    """A compiled network.

    Args:
        prefix: The artifact (``deploy_weights/<name>/mod``); scripts for dynamic models pass the JSON of
            their module, for which ``mod.json`` stands here.
        batch_size: Items per request. Any value runs: requests are computed item by item.
        hw_config: A card's hardware configuration; without effect in the emulation.

    Raises:
        ArtifactError: There is no artifact, it is damaged, or it was made for another CPU.
    """

    def __init__(self, prefix: str | Path, batch_size: int = 1, hw_config: str = "") -> None:
        self.batch_size = int(batch_size)
        self.hw_config = hw_config
        self.compiled = CompiledModel(prefix)

    @property
    def input_count(self) -> int:
        """Number of inputs."""
        return len(self.compiled.inputs)

    @property
    def output_count(self) -> int:
        """Number of outputs."""
        return len(self.compiled.outputs)

    @property
    def input_shape(self) -> list[list[int]]:
        """Shape of each input, batch dimension (1) included."""
        return [list(spec.shape) for spec in self.compiled.inputs]

    @property
    def output_shape(self) -> list[list[int]]:
        """Shape of each output, batch dimension (1) included."""
        return [list(spec.shape) for spec in self.compiled.outputs]

    @property
    def max_batch_size(self) -> int:
        """The largest batch that a script may choose."""
        return _MAX_BATCH_SIZE

    @property
    def address(self) -> int:
        """Where the network lies in device memory; an identity, nothing can be read there."""
        return id(self.compiled)

    def set_input_shape(self, shapes: Sequence[Sequence[int]]) -> int:
        """Choose the input shapes of a dynamic model; artifacts have one shape, so only that one is accepted.

        Raises:
            UnsupportedError: Another shape was chosen.
        """
        if [list(shape) for shape in shapes] != self.input_shape:
            raise UnsupportedError(
                f"the model has the static input shape {self.input_shape}, not {list(shapes)}",
                hint="compile the model for the script's largest shape (compile --shape)",
            )
        return 0

    def set_batch_size(self, batch_size: int) -> int:
        """Choose the number of items per request."""
        self.batch_size = int(batch_size)
        return 0


class ModelOperator:
    """A network as the node of a graph."""

    def __init__(self, model: Model) -> None:
        self.model = model
