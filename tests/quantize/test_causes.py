"""What a network loses by which layer, measured and in words."""

from __future__ import annotations

import pytest
from small_models import FEEDS, MODELS

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.causes import cause_in_words, find_causes
from vacc_deploy.quantize.diff import Agreement, LayerDiff, diff_layers
from vacc_deploy.quantize.score import FidelityScore
from vacc_deploy.quantize.settings import CalibrationSettings


def test_the_layer_that_wins_back_most_comes_first():
    model, feeds = MODELS["residual"](), FEEDS["residual"][:2]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    score = FidelityScore(model, feeds, psnr_db=45, threads=1)
    whole, causes = find_causes(model, table, score, diff_layers(model, table, feeds, threads=1), threads=1)
    assert whole > 0
    assert causes[0].won_back_db == max(cause.won_back_db for cause in causes)
    assert causes[0].name in causes[0].text


CAUSES = {
    "most of a large loss": (
        0.39,
        0.6,
        "0.39 of the lost 0.60 dB come from /conv0 (Conv, single SQNR 20.0 dB); in",
    ),
    "part of a small one": (0.004, 0.06, "0.004 of the lost 0.060 dB come from /conv0"),
    "nothing": (-0.0001, 0.06, "none of the lost 0.060 dB comes back with /conv0"),
    "of no loss": (0.0001, 0.0004, "nothing is lost that /conv0 (Conv, single SQNR 20.0 dB) in fp16 could"),
    "of a gain": (-0.01, -0.002, "nothing is lost that /conv0"),
}


@pytest.mark.parametrize(("won", "whole", "words"), CAUSES.values(), ids=CAUSES)
def test_a_cause_in_words(won, whole, words):
    agreement = Agreement(cosine=1.0, sqnr_db=20.0, max_abs=0.0)
    line = LayerDiff("/conv0", "Conv", "int8", "default", 0.0006, agreement, agreement)
    assert cause_in_words(line, won, whole).startswith(words)
