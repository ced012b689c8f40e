"""The search: reaches its limit, resumes, tunes at no cost."""

from __future__ import annotations

import itertools
from dataclasses import replace

from small_models import FEEDS, MODELS

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.score import FidelityScore
from vacc_deploy.quantize.search.search import Search
from vacc_deploy.quantize.search.trials import Trials
from vacc_deploy.quantize.settings import CalibrationSettings


def search(model, feeds, table, *, correct=None, **options):
    score = FidelityScore(model, feeds, psnr_db=45.0, threads=1)
    return Search(Trials(model, table, score, threads=1, **options), correct=correct)


def test_search_reaches_its_limit_and_says_why():
    model, feeds = MODELS["residual"](), FEEDS["residual"]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    start = search(model, feeds, table, max_drop_db=100.0).run()
    assert start.reached
    assert start.moved == ()
    wanted = start.start_drop_db / 2
    result = search(model, feeds, table, max_drop_db=wanted).run()
    assert result.reached
    assert result.drop_db <= wanted < result.start_drop_db
    assert result.moved
    assert all(result.table.layers[name].why.startswith("search: ") for name in result.moved)
    assert any(entry.gain_db is not None for entry in result.table.layers.values())


def test_an_interrupted_search_resumes_without_measuring_again(tmp_path):
    model, feeds = MODELS["residual"](), FEEDS["residual"]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    path = tmp_path / "search.json"
    tick = itertools.count()
    stopped = search(
        model,
        feeds,
        table,
        max_drop_db=0.001,
        journal=path,
        time_limit_s=3.0,
        clock=lambda: float(next(tick)),
    ).run()
    assert stopped.out_of_time
    resumed = search(model, feeds, table, max_drop_db=0.001, journal=path)
    known = dict(resumed.trials.journal.drops)
    assert known
    whole = resumed.run()
    assert not whole.out_of_time
    assert whole == search(model, feeds, table, max_drop_db=0.001).run()
    assert known.items() <= resumed.trials.journal.drops.items()


def test_a_journal_of_another_table_is_ignored(tmp_path):
    model, feeds = MODELS["residual"](), FEEDS["residual"]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    path = tmp_path / "search.json"
    search(model, feeds, table, max_drop_db=9.0, journal=path).run()
    other = replace(table, pictures=7)
    assert search(model, feeds, other, max_drop_db=9.0, journal=path).trials.journal.drops == {}


def test_tuning_costs_no_macs_and_only_lowers_the_drop():
    model, feeds = MODELS["residual"](), FEEDS["residual"]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    tried = []
    result = search(model, feeds, table, max_drop_db=1e-6, progress=tried.append).run()
    start = tried[0]
    tuned = [m for m in tried if m.phase == "tune"]
    assert tuned
    assert all(m.int8_share == start.int8_share for m in tuned)
    assert result.drop_db <= min(m.drop_db for m in tried)
