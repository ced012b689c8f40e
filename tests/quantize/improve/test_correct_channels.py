"""Channels corrected: by least squares, and only where that does no harm elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import MODELS, pictures

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.improve.correct_channels import correct_step, does_no_harm, moments
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.side_by_side import SideBySide


def test_moments_recover_a_gain_and_a_shift():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1, 3, 40, 40)).astype(np.float32)
    gain, shift = np.array([1.1, 0.9, 1.0]), np.array([0.5, 0.0, -2.0])
    y = (z * gain.reshape(1, 3, 1, 1) + shift.reshape(1, 3, 1, 1)).astype(np.float32)
    fitted = moments(y, z, 1).fit()
    np.testing.assert_allclose(fitted[0], gain, atol=1e-5)
    np.testing.assert_allclose(fitted[1], shift, atol=1e-5)
    assert moments(y, z, 1).error(*fitted) == pytest.approx(0, abs=1e-4)


def test_a_dead_channel_is_not_amplified():
    y, z = np.ones((1, 1, 4, 4), np.float32), np.zeros((1, 1, 4, 4), np.float32)
    gain, shift = moments(y, z, 1).fit()
    assert gain.item() == 1.0
    assert shift.item() == 1.0


def test_a_correction_that_only_fits_its_own_pictures_is_dropped():
    y = np.zeros((1, 1, 8, 8), np.float32)
    noise = np.ones((1, 1, 8, 8), np.float32)
    assert not does_no_harm([moments(y, noise, 1), moments(y, -noise, 1)])
    assert does_no_harm([moments(y, noise, 1), moments(y, noise, 1)])


@pytest.mark.parametrize("weight_scale", ["max", "mse", "power2"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_result_after_a_correction_is_what_the_corrected_layer_computes(make, weight_scale):
    model = make()
    feeds = list(pictures(model, 4))
    settings = CalibrationSettings(mode="max", correct_channels=False, weight_scale=weight_scale)
    walk = SideBySide(model, calibrate(model, feeds, settings), feeds)
    for step in walk:
        correct_step(walk, step)
        if step.result:
            expected = walk.run_quantized(step.layer, walk.inputs_of(step.layer))
            for y, z in zip(expected, step.result, strict=True):
                np.testing.assert_allclose(z, y, rtol=0, atol=1e-4 * max(1e-6, np.abs(y).max()))


@pytest.mark.parametrize(("weight_scale", "per_channel"), [("power2", True), ("max", False)])
def test_codes_that_were_rounded_together_get_no_gain(weight_scale, per_channel):
    model = MODELS["residual"]()
    settings = CalibrationSettings(weight_scale=weight_scale, per_channel=per_channel)
    table = calibrate(model, list(pictures(model, 4)), settings)
    assert not any(entry.gain for entry in table.layers.values())
    assert any(entry.bias_shift for entry in table.layers.values())
