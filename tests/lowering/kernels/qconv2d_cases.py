"""Cases of int8 convolutions, their random operands, and what the reference says about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from plane_harness import BOTH_SIDES, codes, run_to_plane, to_plane

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.epilogue import Epilogue
from vacc_deploy.lowering.kernels.convolution.integer.numbers import QConvNumbers
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConv2dSpec
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import Target
from vacc_deploy.runtime.reference.conv2d import accumulate, output_size
from vacc_deploy.runtime.reference.fixed_point import per_channel, requantize, to_half

PLAIN = Epilogue(zero_point=128)


@dataclass(frozen=True)
class Case:
    """One convolution; `pads` is (top, left, bottom, right)."""

    inputs: int
    outputs: int
    height: int = 7
    width: int = 13
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    batch: int = 1
    zero_point: int = 0
    source_halo: Halo | None = None
    target_halo: Halo = BOTH_SIDES
    epilogue: Epilogue = PLAIN
    dtype: Any = "uint8"

    def spec(self) -> QConv2dSpec:
        top, left, bottom, right = self.pads
        rows = output_size(self.height, self.kernel[0], self.stride[0], self.dilation[0], top, bottom)
        columns = output_size(self.width, self.kernel[1], self.stride[1], self.dilation[1], left, right)
        halo = self.source_halo or Halo(top, left, bottom, right)
        source = Plane(self.batch, self.inputs, self.height, self.width, "uint8", halo, self.zero_point)
        fill = 0 if self.dtype == "float16" else self.epilogue.zero_point
        out = Plane(self.batch, self.outputs, rows, columns, self.dtype, self.target_halo, fill)
        window = Window(self.kernel, self.stride, self.dilation, (top, left))
        return QConv2dSpec(source, out, window, epilogue=self.epilogue)


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
    terms = case.inputs * spec.window.taps
    return Numbers(
        codes(spec.source, seed),
        rng.integers(-127, 128, (case.outputs, case.inputs, *case.kernel)).astype(np.int8),
        rng.integers(-3000, 3000, case.outputs).astype(np.int32),
        (rng.uniform(0.2, 2.0, case.outputs) * 60 / (5500 * terms**0.5)).astype(np.float32),
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
