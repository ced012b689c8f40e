"""Specs of float convolutions: float16 or float32 planes, float32 sums."""

from __future__ import annotations

from dataclasses import dataclass, field

from vacc_deploy.lowering.kernels.convolution.floating.epilogue import FloatEpilogue
from vacc_deploy.lowering.kernels.convolution.spec import OrdinarySpec, TransposedSpec
from vacc_deploy.lowering.plane import Plane, StorageType


@dataclass(frozen=True, slots=True)
class Hconv2dSpec(OrdinarySpec):
    """An ordinary convolution; the source's halo is zero.

    Attributes:
        epilogue: Activation and residual.
        weight_dtype: How weights are stored. float16 halves them and costs 3 dB of a single operator.
        modulation: Plane (N, C, 1, 1) of factors of the source's channels, known only at run time.
    """

    source_types = ("float16", "float32")
    target_types = ("float16", "float32")

    epilogue: FloatEpilogue = field(default_factory=FloatEpilogue)
    weight_dtype: StorageType = "float32"
    modulation: Plane | None = None


@dataclass(frozen=True, slots=True)
class HconvTranspose2dSpec(TransposedSpec):
    """A transposed convolution; the source's halo is zero.

    Attributes:
        epilogue: Activation and residual.
        weight_dtype: As of an ordinary one.
        modulation: As of an ordinary one.
    """

    source_types = ("float16", "float32")
    target_types = ("float16", "float32")

    epilogue: FloatEpilogue = field(default_factory=FloatEpilogue)
    weight_dtype: StorageType = "float32"
    modulation: Plane | None = None
