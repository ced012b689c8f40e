"""Channels corrected: by least squares, and only where that does no harm elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from vacc_deploy.quantize.improve.correct_channels import does_no_harm, moments


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
