"""Specs of int8 convolutions: uint8 plane × int8 weights → uint8 or float16 plane."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

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


def representative(spec: AnySpec) -> AnySpec:
    """The spec that stands for all that the same code computes.

    Zero points and code limits are parameters of a kernel, so that a network in which every tensor has a zero
    point of its own compiles no more code than a symmetric one.
    """
    return replace(
        spec,
        source=replace(spec.source, fill=0),
        target=replace(spec.target, fill=0),
        epilogue=spec.epilogue.representative(spec.target.fill),
    )
