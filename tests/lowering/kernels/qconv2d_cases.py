"""Cases of int8 convolutions, their random operands, and what the reference says about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from convolution_geometry import Geometry
from plane_harness import BOTH_SIDES, codes, run_to_plane, to_plane

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.plane import Halo, StorageType
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.conv2d import accumulate
from vacc_deploy.runtime.reference.fixed_point import per_channel, requantize, to_half

PLAIN = Epilogue(zero_point=128)


@dataclass(frozen=True)
class Case(Geometry):
    """One convolution of codes."""

    zero_point: int = 0
    source_halo: Halo | None = None
    target_halo: Halo = BOTH_SIDES
    epilogue: Epilogue = PLAIN
    dtype: StorageType = "uint8"

    def spec(self) -> QConv2dSpec:
        source = self.source("uint8", self.source_halo, self.zero_point)
        fill = 0 if self.dtype == "float16" else self.epilogue.zero_point
        target = self.target(self.dtype, self.target_halo, fill)
        return QConv2dSpec(source, target, self.window, self.groups, self.epilogue)


@dataclass
class Numbers:
    """The operands of one case."""

    source: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray

    @property
    def layer(self) -> QConvNumbers:
        """What a kernel is built with."""
        return QConvNumbers(self.weights, self.bias, self.multiplier)


def random_numbers(case: Case, seed: int = 0) -> Numbers:
    rng = np.random.default_rng(seed)
    spec = case.spec()
    return Numbers(
        codes(spec.source, seed),
        rng.integers(-127, 128, spec.weight_shape).astype(np.int8),
        rng.integers(-3000, 3000, case.outputs).astype(np.int32),
        (rng.uniform(0.2, 2.0, case.outputs) * 60 / (5500 * case.terms**0.5)).astype(np.float32),
    )


def sums(case: Case, numbers: Numbers) -> np.ndarray:
    return accumulate(
        numbers.source,
        numbers.weights,
        numbers.bias,
        zero_point=case.zero_point,
        strides=case.stride,
        pads=case.pads,
        dilations=case.dilation,
        groups=case.groups,
    )


def expected(case: Case, numbers: Numbers) -> np.ndarray:
    acc, m = sums(case, numbers), per_channel(numbers.multiplier, 4)
    steps = case.epilogue
    if case.dtype == "float16":
        return np.maximum(to_half(acc, m), 0) if steps.relu else to_half(acc, m)
    return requantize(acc, m, steps.zero_point, steps.low, steps.high, dtype=np.uint8)


def build_and_run(
    case: Case,
    numbers: Numbers,
    target: Target,
    *,
    table: np.ndarray | None = None,
    algorithm: qconv2d.Algorithm | None = None,
) -> np.ndarray:
    spec = case.spec()
    kernel = qconv2d.build(spec, target, replace(numbers.layer, table=table), algorithm=algorithm)
    assert kernel.macs > 0
    return run_to_plane(kernel, [to_plane(numbers.source, spec.source)], spec.target, target)
