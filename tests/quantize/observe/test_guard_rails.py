"""Odd calibration data are noticed, good data are not."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import FEEDS, MODELS

from vacc_deploy.errors import ErrorList
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.observe.guard_rails import raise_if_strict
from vacc_deploy.quantize.settings import CalibrationSettings


def same(count):
    return [FEEDS["residual"][0]] * count


def scaled(factor):
    return [{"input": feed["input"] * np.float32(factor)} for feed in FEEDS["residual"]]


ODD_DATA = {
    "too few": (FEEDS["residual"][:1], "only 1 calibration"),
    "identical": (same(5), "4 of 5 calibration pictures repeat"),
    "black": (scaled(0), "of one colour"),
    "bytes": (scaled(255), "looks like 0…255"),
    "divided twice": (scaled(1 / 255), "divided by 255 twice"),
}


@pytest.mark.parametrize(("data", "words"), ODD_DATA.values(), ids=ODD_DATA)
def test_odd_data_is_noticed(data, words):
    table = calibrate(MODELS["residual"](), data, CalibrationSettings.recipe_exact(threads=1))
    assert any(words in warning for warning in table.warnings)
    with pytest.raises(ErrorList):
        raise_if_strict(table.warnings, strict=True)


def test_good_data_raise_no_warning():
    table = calibrate(MODELS["residual"](), FEEDS["residual"], CalibrationSettings.recipe_exact(threads=1))
    assert table.warnings == ()
    raise_if_strict(table.warnings, strict=True)
