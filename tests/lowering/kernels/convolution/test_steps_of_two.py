"""What Winograd leaves out of 3×3 convolutions in steps of 2 is zero, and nothing else is."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from tvm import tirx
from tvm.sym.analyzer import Analyzer

from vacc_deploy.lowering.kernels.convolution.four_phases import PHASES, phase_seen_at
from vacc_deploy.lowering.kernels.convolution.four_results import FourResults, result_seen_at
from vacc_deploy.lowering.kernels.convolution.integer.spec import QConvTranspose2dSpec
from vacc_deploy.lowering.kernels.convolution.integer.winograd.forms import (
    FORMS,
    Strided,
    Transposed,
    two_tap_filter,
)
from vacc_deploy.lowering.kernels.isa.vector import Expr
from vacc_deploy.lowering.kernels.window import Window
from vacc_deploy.lowering.plane import Halo, Plane

WEIGHTS = np.random.default_rng(0).integers(1, 128, (40, 1, 3, 3)).astype(np.int8)


def seen(condition: Expr) -> bool:
    return bool(Analyzer().simplify(condition))


def nonzero(taps: np.ndarray, form: Strided | Transposed) -> list[bool]:
    """At which positions any of the filters (C_out, 1, 2, 2) differs from 0."""
    return form.transform_taps(taps.transpose(2, 3, 0, 1)).any(axis=(1, 2)).tolist()


def number(value: int) -> tirx.IntImm:
    return tirx.IntImm("int32", value)


@pytest.mark.parametrize("phase", range(4), ids=[f"{row}-{column}" for row, column in PHASES])
def test_a_phase_is_seen_where_its_filter_differs_from_zero(phase: int) -> None:
    form = FORMS[2]
    assert isinstance(form, Strided)
    said = [seen(phase_seen_at(form.side, number(phase), number(at))) for at in range(form.side**2)]
    assert said == nonzero(form.filters(WEIGHTS)[phase], form)


@pytest.mark.parametrize("result", range(4))
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1)], ids=str)
def test_a_result_is_seen_where_its_filter_differs_from_zero(padding: tuple[int, int], result: int) -> None:
    source, target = Plane(1, 1, 8, 8, "uint8", Halo(2, 2, 2, 2)), Plane(1, 40, 15, 15, "uint8")
    results = FourResults.of(QConvTranspose2dSpec(source, target, Window((3, 3), (2, 2), padding=padding)))
    assert results is not None
    form = Transposed(results.single)
    said = [
        seen(result_seen_at(results.single, form.side, number(result), number(at)))
        for at in range(form.side**2)
    ]
    taps = two_tap_filter(WEIGHTS, partial(results.tap, results.parts[result]))
    assert said == nonzero(taps, form)
