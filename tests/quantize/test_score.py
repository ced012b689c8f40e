"""What a fidelity means in dB lost."""

from __future__ import annotations

import math

import pytest

from vacc_deploy.quantize.score import drop_from_fidelity, fidelity_for_drop, tolerance_text


def test_tolerance_matches_the_published_table():
    assert fidelity_for_drop(0.05, 31) == pytest.approx(50.4, abs=0.05)
    assert fidelity_for_drop(0.1, 26) == pytest.approx(42.3, abs=0.05)
    assert drop_from_fidelity(fidelity_for_drop(0.02, 33), 33) == pytest.approx(0.02)
    assert "is not" in tolerance_text(40.0, 31.0)
    assert "is enough" in tolerance_text(60.0, 31.0)


def test_drop_of_a_perfect_network_is_nothing():
    assert drop_from_fidelity(120.0, 31.0) == pytest.approx(0, abs=1e-8)
    assert math.isfinite(drop_from_fidelity(-10.0, 31.0))
