"""Sessions of one size and of any."""

from __future__ import annotations

import numpy as np
from small_models import FEEDS, MODELS

from vacc_deploy.quantize.crop_support import runs_on_crops
from vacc_deploy.quantize.sessions import runner


def test_a_run_of_any_size_equals_the_fixed_one():
    model, feeds = MODELS["residual"](), FEEDS["residual"]
    assert runs_on_crops(model)
    crop = {"input": feeds[0]["input"][:, :, :8, :8]}
    assert runner(model, 1, any_size=True)(crop)[0].shape[2:] == (8, 8)
    assert np.array_equal(runner(model, 1, any_size=True)(feeds[0])[0], runner(model, 1)(feeds[0])[0])
