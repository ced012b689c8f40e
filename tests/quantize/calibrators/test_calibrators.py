"""Every calibrator on histograms whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from vacc_deploy.errors import ConfigError, DataError
from vacc_deploy.quantize.calibrators import CALIBRATORS, Range, choose_range
from vacc_deploy.quantize.calibrators.mse import squared_error
from vacc_deploy.quantize.observe.histogram import BINS, Histogram


def histogram_of(*parts):
    histogram = Histogram()
    for part in parts:
        values = np.asarray(part, np.float32)
        histogram.update(float(values.min()), float(values.max()), values, "t")
    return histogram


NORMAL = np.random.default_rng(0).normal(size=200_000)
OUTLIER = np.concatenate([np.clip(NORMAL, -4, 4), [100.0]])
RELU = np.maximum(NORMAL, 0)


def test_extremes_are_exact_and_counts_complete():
    histogram = histogram_of(NORMAL[:1000], NORMAL[1000:])
    assert histogram.minimum == np.float32(NORMAL.min())
    assert histogram.maximum == np.float32(NORMAL.max())
    assert histogram.counts.sum() + histogram.zeros == histogram.total == NORMAL.size


def test_the_order_of_pictures_does_not_matter():
    parts = [NORMAL[:100] * 0.01, NORMAL[100:300] * 37, NORMAL[300:900], np.zeros(5)]
    forward, backward = histogram_of(*parts), histogram_of(*reversed(parts))
    assert forward.exponent == backward.exponent
    np.testing.assert_array_equal(forward.counts, backward.counts)


def test_bins_hold_the_values_between_their_edges():
    histogram = histogram_of(NORMAL)
    edges = (np.arange(BINS + 1) - BINS // 2) * histogram.width
    expected, _ = np.histogram(NORMAL.astype(np.float32), edges)
    np.testing.assert_array_equal(histogram.counts, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_refused(value):
    with pytest.raises(DataError, match="not finite"):
        Histogram().update(0.0, value, np.zeros(3, np.float32), "t")


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("mode", sorted(CALIBRATORS))
@pytest.mark.parametrize("values", [NORMAL, RELU, -RELU, OUTLIER, np.zeros(9), [0.25], [0, 0, -3]], ids=str)
def test_ranges_contain_zero_and_stay_within_the_extremes(mode, scheme, values):
    kept = choose_range(mode, histogram_of(values), scheme)
    largest = np.float32(np.abs(values).max())
    assert -largest <= kept.low <= 0 <= kept.high <= largest
    assert kept.high > kept.low or largest == 0
    if scheme == "symmetric":
        assert kept.low == -kept.high


def test_max_keeps_everything():
    assert choose_range("max", histogram_of(OUTLIER), "symmetric") == Range(-100.0, 100.0)
    assert choose_range("max", histogram_of([-1, 3]), "asymmetric") == Range(-1.0, 3.0)


@pytest.mark.parametrize("fraction", [0.9, 0.99, 0.999, 0.9999])
def test_percentile_is_numpys(fraction):
    kept = choose_range("percentile", histogram_of(NORMAL), "symmetric", fraction)
    assert kept.high == pytest.approx(np.quantile(np.abs(NORMAL), fraction), rel=0.01)
    kept = choose_range("percentile", histogram_of(RELU), "asymmetric", fraction)
    assert kept.low == 0
    assert kept.high == pytest.approx(np.quantile(RELU, fraction), rel=0.01)


@pytest.mark.parametrize("mode", ["mse", "kl_divergence", "percentile"])
def test_one_outlier_is_clipped(mode):
    kept = choose_range(mode, histogram_of(OUTLIER), "symmetric")
    assert 2.5 < kept.high < 60


@pytest.mark.parametrize("values", [NORMAL, RELU, OUTLIER], ids=["normal", "relu", "outlier"])
def test_mse_predicts_the_error_and_beats_max(values):
    histogram = histogram_of(values)
    errors = {}
    for mode in ("max", "mse"):
        kept = choose_range(mode, histogram, "symmetric")
        step = kept.high / 127
        coded = np.clip(np.rint(values / step), -127, 127) * step
        errors[mode] = np.mean(np.square(coded - values))
        assert squared_error(histogram, kept, "symmetric") == pytest.approx(errors[mode], rel=0.05)
    assert errors["mse"] <= errors["max"]


@pytest.mark.parametrize("weight", [1.0, 4.0])
@pytest.mark.parametrize("values", [NORMAL, RELU, OUTLIER], ids=["normal", "relu", "outlier"])
def test_mse_overlooks_none_of_its_ranges(values, weight):
    histogram = histogram_of(values)
    extreme = histogram.largest_magnitude
    candidates = [Range(-extreme * part, extreme * part) for part in np.linspace(0.02, 1.0, 160)]
    errors = [squared_error(histogram, kept, "symmetric", weight) for kept in candidates]
    kept = choose_range("mse", histogram, "symmetric", weight)
    assert squared_error(histogram, kept, "symmetric", weight) == pytest.approx(min(errors))


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("values", [NORMAL, OUTLIER], ids=["normal", "outlier"])
def test_a_larger_weight_on_clipped_values_clips_fewer(values, scheme):
    histogram = histogram_of(values)
    highs = [choose_range("mse", histogram, scheme, weight).high for weight in (None, 1.0, 4.0, 64.0)]
    assert highs[0] == highs[1] < highs[2] < highs[3] <= max(abs(values))


def test_an_unknown_calibrator_is_named():
    with pytest.raises(ConfigError, match="'maximum'"):
        choose_range("maximum", Histogram(), "symmetric")
