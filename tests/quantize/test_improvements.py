"""Channel correction, thresholds by output error, search, diff and guard rails on small networks."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from small_models import MODELS, Builder, pictures

from vacc_deploy.errors import DataError, ErrorList
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.correct_channels import does_no_harm, moments
from vacc_deploy.quantize.diff import (
    Agreement,
    LayerDiff,
    cause_in_words,
    diff_layers,
    fidelity_db,
    find_causes,
    tolerance_text,
)
from vacc_deploy.quantize.guard_rails import raise_if_strict
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.score import FidelityScore, drop_from_fidelity, fidelity_for_drop, runner
from vacc_deploy.quantize.search import Search
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.side_by_side import runs_on_crops
from vacc_deploy.quantize.table import CalibrationTable, read_number, write_number
from vacc_deploy.quantize.trials import Trials

FEEDS = {name: list(pictures(make(), 6)) for name, make in MODELS.items()}


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


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_the_default_is_no_worse_than_the_recipe(make, scheme):
    model = make()
    name = next(n for n, m in MODELS.items() if m is make)
    feeds = FEEDS[name]
    held_out = list(pictures(model, 3, seed=9))
    recipe = CalibrationSettings.recipe_exact(scheme=scheme, threads=1)
    default = CalibrationSettings(scheme=scheme, threads=1)
    before = fidelity_db(model, calibrate(model, feeds, recipe), held_out, threads=1)
    after = fidelity_db(model, calibrate(model, feeds, default), held_out, threads=1)
    assert after > before - 1.0  # the classifier has 36 numbers to learn from


def test_pictures_keep_their_extremes_and_small_layers_around_them_stay_in_fp16():
    model = MODELS["residual"](channels=64)
    table = calibrate(model, FEEDS["residual"], CalibrationSettings(threads=1))
    assert table.tensors["input"].method == "max"
    first = next(iter(table.layers.values()))
    assert (first.precision, first.why[:8]) == ("int8", "default ") or first.why.startswith(
        ("picture", "default")
    )


def test_calibrating_twice_gives_the_same_text():
    model = MODELS["hourglass"]()
    settings = CalibrationSettings(threads=1)
    texts = {calibrate(model, FEEDS["hourglass"], settings).to_json() for _ in range(2)}
    assert len(texts) == 1


def test_a_table_survives_its_text():
    model = MODELS["residual"]()
    table = calibrate(model, FEEDS["residual"], CalibrationSettings(threads=1))
    again = CalibrationTable.from_json(table.to_json())
    assert again.to_json() == table.to_json()
    assert quantize(model, again).graph.num_nodes() == quantize(model, table).graph.num_nodes()


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, -7.0, 0.0])
def test_numbers_are_exact_and_the_edited_decimal_wins(value):
    assert read_number(write_number(value), "here") == value
    assert read_number(f"{value.hex()} (0.625)", "here") == 0.625
    assert read_number("2.5", "here") == 2.5
    assert read_number(3, "here") == 3.0


@pytest.mark.parametrize("text", ["abc", "0x1.8p0 (x)", None, [1]], ids=str)
def test_other_text_is_no_number(text):
    with pytest.raises(DataError, match="not a number"):
        read_number(text, "here")


def test_an_edited_table_is_obeyed():
    model = MODELS["residual"]()
    table = calibrate(model, FEEDS["residual"], CalibrationSettings.recipe_exact(threads=1))
    text = table.to_json().replace('"precision": "int8"', '"precision": "fp16"', 1)
    edited = CalibrationTable.from_json(text)
    quantized = quantize(model, edited)
    first = next(iter(table.layers))
    assert next(n for n in quantized.graph if n.name == first).inputs[0].name == "input"


BROKEN_TABLES = {
    "no json": "hello",
    "a list": "[]",
    "newer": '{"format": 99}',
    "empty": "{}",
}


@pytest.mark.parametrize("text", BROKEN_TABLES.values(), ids=BROKEN_TABLES)
def test_a_broken_table_is_one_clear_error(text):
    with pytest.raises(DataError):
        CalibrationTable.from_json(text)


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


def test_diff_tells_single_from_entire():
    model, feeds = MODELS["residual"](), FEEDS["residual"][:2]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    lines = diff_layers(model, table, feeds, threads=1)
    assert [line.name for line in lines] == list(table.layers)
    convolutions = [line for line in lines if line.op_type == "Conv"]
    assert convolutions[0].entire == convolutions[0].single  # nothing is quantised before the first layer
    assert convolutions[-1].entire.sqnr_db < convolutions[-1].single.sqnr_db
    assert all(line.precision == "int8" for line in convolutions)
    whole, causes = find_causes(
        model, table, FidelityScore(model, feeds, psnr_db=45, threads=1), lines, threads=1
    )
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
}


@pytest.mark.parametrize(("won", "whole", "words"), CAUSES.values(), ids=CAUSES)
def test_a_cause_in_words(won, whole, words):
    agreement = Agreement(cosine=1.0, sqnr_db=20.0, max_abs=0.0)
    line = LayerDiff("/conv0", "Conv", "int8", "default", 0.0006, agreement, agreement)
    assert cause_in_words(line, won, whole).startswith(words)


def test_tolerance_matches_the_published_table():
    assert fidelity_for_drop(0.05, 31) == pytest.approx(50.4, abs=0.05)
    assert fidelity_for_drop(0.1, 26) == pytest.approx(42.3, abs=0.05)
    assert drop_from_fidelity(fidelity_for_drop(0.02, 33), 33) == pytest.approx(0.02)
    assert "is not" in tolerance_text(40.0, 31.0)
    assert "is enough" in tolerance_text(60.0, 31.0)


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


BAD_DATA = {
    "empty": ([], "empty"),
    "nan": ([{"input": np.full((1, 1, 12, 10), np.nan, np.float32)}], "NaN"),
    "shape": ([{"input": np.zeros((1, 1, 12, 12), np.float32)}], "shape"),
    "name": ([{"image": np.zeros((1, 1, 12, 10), np.float32)}], "'input'"),
}


@pytest.mark.parametrize(("data", "words"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_are_refused(data, words):
    with pytest.raises(DataError, match=words):
        calibrate(MODELS["residual"](), data, CalibrationSettings(threads=1))


def test_drop_of_a_perfect_network_is_nothing():
    assert drop_from_fidelity(120.0, 31.0) == pytest.approx(0, abs=1e-8)
    assert math.isfinite(drop_from_fidelity(-10.0, 31.0))


def test_small_layers_around_the_picture_stay_in_fp16():
    build = Builder(1, (24, 24))
    x = build.node("Relu", [build.conv("input", 1, 16)])
    for _ in range(8):
        x = build.node("Relu", [build.conv(x, 16, 16, bias=False)])
    model = build.model(build.conv(x, 16, 1))
    feeds = [{"input": np.random.default_rng(i).random((1, 1, 24, 24), np.float32)} for i in range(4)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    assert {name for name, entry in layers.items() if entry.precision == "fp16"} == {"/conv0", "/conv18"}
    assert layers["/conv0"].why == "default: reads the picture, 0.77 % of the MACs"
    assert layers["/conv18"].why == "default: makes the picture, 0.77 % of the MACs"
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert all(entry.precision == "int8" for entry in exact.values())


def test_small_layers_that_make_a_vector_stay_in_fp16():
    build = Builder(1, (24, 24))
    x = build.node("Relu", [build.conv("input", 1, 16)])
    for _ in range(8):
        x = build.node("Relu", [build.conv(x, 16, 16, bias=False)])
    vector = build.node("Flatten", [build.node("GlobalAveragePool", [x])])
    style = build.node("Gemm", [vector, build.constant("unit", np.eye(16, dtype=np.float32))], "/style")
    shape = build.constant("per_channel", np.array([1, 16, 1, 1], np.int64))
    steered = build.node("Mul", [x, build.node("Reshape", [style, shape])])
    model = build.model(build.conv(steered, 16, 1))
    feeds = [{"input": np.random.default_rng(i).random((1, 1, 24, 24), np.float32)} for i in range(2)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    assert layers["/style"].why == "default: makes a vector, 0.00 % of the MACs"
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert exact["/style"].precision == "int8"


def test_a_run_of_any_size_equals_the_fixed_one():
    model, feeds = MODELS["residual"](), FEEDS["residual"]
    assert runs_on_crops(model)
    crop = {"input": feeds[0]["input"][:, :, :8, :8]}
    assert runner(model, 1, any_size=True)(crop)[0].shape[2:] == (8, 8)
    assert np.array_equal(runner(model, 1, any_size=True)(feeds[0])[0], runner(model, 1)(feeds[0])[0])


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


def test_small_layers_that_make_a_gate_stay_in_fp16():
    build = Builder(16, (16, 16))
    x = build.node("Relu", [build.conv("input", 16, 16)])
    for _ in range(12):
        x = build.node("Relu", [build.conv(x, 16, 16)])
    gate = build.node("Sigmoid", [build.conv(x, 16, 16, 1)], "/gate")
    model = build.model(build.conv(build.node("Mul", [x, gate], "/mul"), 16, 16))
    feeds = [{"input": np.random.default_rng(i).random((1, 16, 16, 16), np.float32)} for i in range(3)]
    layers = calibrate(model, feeds, CalibrationSettings(threads=1)).layers
    gated = [name for name, entry in layers.items() if entry.why.startswith("default: makes a gate")]
    assert gated == ["/conv26", "/gate"]
    exact = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1)).layers
    assert all(exact[name].precision == "int8" for name in gated)
