"""Specs of int8 convolutions: uint8 plane × int8 weights → uint8 or float16 plane."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from vacc_deploy.lowering.kernels.codes import representative
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.spec import OrdinarySpec, TransposedSpec


@dataclass(frozen=True, slots=True)
class QConv2dSpec(OrdinarySpec):
    """An ordinary convolution; the source's halo holds its zero point.

    Attributes:
        epilogue: What becomes of the sums.
    """

    source_types = ("uint8",)
    target_types = ("uint8", "float16")

    epilogue: Epilogue = field(default_factory=Epilogue)


@dataclass(frozen=True, slots=True)
class QConvTranspose2dSpec(TransposedSpec):
    """A transposed convolution; the source's halo holds its zero point.

    Attributes:
        epilogue: What becomes of the sums.
    """

    source_types = ("uint8",)
    target_types = ("uint8", "float16")

    epilogue: Epilogue = field(default_factory=Epilogue)


AnySpec = TypeVar("AnySpec", QConv2dSpec, QConvTranspose2dSpec)


def representative_convolution(spec: AnySpec) -> AnySpec:
    """`codes.representative` of a convolution, whose epilogue has zero points and limits of its own."""
    return replace(representative(spec), epilogue=spec.epilogue.representative(spec.target.fill))
