"""What a recipe states about a model: the network, its pictures in and out, its protocol, its licence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from vacc_deploy.errors import ConfigError
from vacc_deploy.processing import Postprocess, Preprocess

CalibrateMode = Literal["max", "percentile", "kl_divergence", "mse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSettings:
    """What the rendered build YAML says beyond the recipe's own facts.

    Args:
        config: Stem of the file ``build_configs/<config>.yaml``.
        vdsp: Stem of the vdsp JSON, ``vdsp_params/<vdsp>-vdsp_params.json``.
        name: Name of the artifact; empty makes it ``<config>_int8``.
        frontend: Form of the checkpoint, ``onnx`` or ``pytorch`` (TorchScript).
        dataset: Folder of calibration pictures, as a path in the YAML.
        suffix: File suffix of those pictures; None takes all.
        count: Number of calibration pictures.
        calibrate_mode: How activation thresholds are chosen.
        calibration_resizes: (side, interpolation) steps that stand for the resize when calibrating, for
            networks whose pictures are first made as small as the ones they will see.
        quantize: Further keys of ``backend.quantize``.
        compile: Further keys of ``backend.compile``.
    """

    config: str
    vdsp: str
    name: str = ""
    frontend: Literal["onnx", "pytorch"] = "onnx"
    dataset: str = "/path/to/pictures"
    suffix: str | None = "png"
    count: int = 50
    calibrate_mode: CalibrateMode = "kl_divergence"
    calibration_resizes: tuple[tuple[int, str], ...] = ()
    quantize: dict[str, Any] = field(default_factory=dict)
    compile: dict[str, Any] = field(default_factory=dict)

    @property
    def artifact(self) -> str:
        """Name of the artifact that the configuration builds."""
        return self.name or f"{self.config}_int8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One variant of one model, ready to export.

    Pre- and post-processing are stated here and nowhere else: the build YAML's ``process_ops``, the vdsp
    JSON and the metadata inside the exported ONNX are all written from this record.

    Args:
        name: Name on the command line.
        title: One line for listings.
        build: Makes the network in its official key layout; weights do not matter yet.
        input_shape: (1, C, H, W) of the exported network.
        preprocess: Picture to input.
        postprocess: Output to picture.
        protocol: Evaluation protocol that ``vdeploy eval`` uses unless told otherwise.
        paper: Where the network is described.
        licence: Under which terms the official code and weights are published, as far as stated there.
        variant: Name of this variant; empty if there is only one.
        output_names: Names of the network's outputs, in order.
        input_name: Name of the network's input.
        size_step: 0 if the network exists at one size only, else height and width must be multiples of it.
        seeded_gains: Regular expression of keys → gain of `seeded_state`, for networks whose activations
            would otherwise explode or die.
        demo_weights: File name under ``export/weights``, if the project ships weights.
        proof_tolerance: How far the exported files may differ from PyTorch, relative to the largest output.
            float32 sums in another order stay two orders of magnitude below the default on most networks.
        settings: How the build configuration is rendered; None renders none.
    """

    name: str
    title: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int, int]
    preprocess: Preprocess
    postprocess: Postprocess
    protocol: str
    paper: str
    licence: str
    variant: str = ""
    output_names: tuple[str, ...] = ("output",)
    input_name: str = "input"
    size_step: int = 0
    seeded_gains: dict[str, float] = field(default_factory=dict)
    demo_weights: str = ""
    proof_tolerance: float = 1e-4
    settings: BuildSettings | None = None

    @property
    def stem(self) -> str:
        """Stem of the exported files: ``vdsr``, ``lesrcnn_x2``."""
        return f"{self.name}_{self.variant}" if self.variant else self.name

    def at_size(self, height: int, width: int) -> Recipe:
        """The same recipe for another input size, pixels.

        Raises:
            ConfigError: The network does not exist at that size.
        """
        if (height, width) == self.input_shape[2:]:
            return self
        asked = f"{height}x{width}"
        if self.size_step == 0:
            own = f"{self.input_shape[2]}x{self.input_shape[3]}"
            raise ConfigError(
                f"{self.stem} takes {own} pictures only, not {asked}",
                hint="leave --size out",
            )
        if height < 1 or width < 1 or height % self.size_step or width % self.size_step:
            raise ConfigError(
                f"{self.stem} needs height and width to be multiples of {self.size_step}, not {asked}",
                hint=f"try --size {_round_up(height, self.size_step)} {_round_up(width, self.size_step)}",
            )
        batch, channels = self.input_shape[:2]
        return replace(
            self,
            input_shape=(batch, channels, height, width),
            preprocess=replace(self.preprocess, size=(height, width)),
        )


def _round_up(value: int, step: int) -> int:
    return max(1, -(-value // step)) * step
