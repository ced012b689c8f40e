"""Channels carried twice: the same network, half the step, and only where one convolution hands to others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from small_models import MODELS, Builder, pictures

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.channels.split import find_sites, split_channels
from vacc_deploy.quantize.improve.choose_splits import worthwhile_splits
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.score import quantized_runner
from vacc_deploy.quantize.sessions import runner
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable

LOUD = (3, 9)
PLAIN = CalibrationSettings(
    scheme="asymmetric", threads=1, correct_channels=False, round_weights=False, equalise=False,
    protect_images=False,
)  # fmt: skip


def two_channels_matter(second: str = "Conv"):
    """Sixteen channels, of which the reader weighs two ten times as much as the others."""
    build = Builder(3, (24, 24))
    x = build.node("Relu", [build.conv("input", 3, 16)], "/relu")
    model = build.model(build.conv(x, 16, 4) if second == "Conv" else build.conv_transpose(x, 16, 4))
    weight = next(v for n, v in model.graph.initializers.items() if v.shape[:2] in ((4, 16), (16, 4)))
    array = weight.const_value.numpy().copy()
    np.moveaxis(array, 1 if second == "Conv" else 0, 0)[list(LOUD)] *= 10
    weight.const_value = ir.tensor(array, name=weight.name)
    return model


def noise(model, table, feeds):
    got, wanted = quantized_runner(model, table, 1), runner(model, 1)
    return np.mean([np.square(got(feed)[0] - wanted(feed)[0]).mean() for feed in feeds])


NETWORKS = {**MODELS, "two": two_channels_matter, "transposed": lambda: two_channels_matter("ConvTranspose")}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_the_network_stays_the_same_within_the_step(make):
    model = make()
    feed = next(iter(pictures(model, 1)))
    sites = find_sites(model)
    changed = split_channels(model, dict.fromkeys(sites, (0, 1)), lambda _: 1e-4)
    for before, after in zip(runner(model, 1)(feed), runner(changed, 1)(feed), strict=True):
        np.testing.assert_allclose(after, before, atol=2e-3 * max(1.0, float(np.abs(before).max())))


@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_the_channels_that_matter_are_found_and_their_noise_falls(scheme):
    model = two_channels_matter()
    feeds = list(pictures(model, 4))
    table = calibrate(model, feeds, replace(PLAIN, scheme=scheme))
    assert {name: sorted(channels) for name, channels in table.split.items()} == {"/relu.out": [*LOUD]}
    without = noise(model, replace(table, split={}), feeds)
    assert 10 * np.log10(without / noise(model, table, feeds)) > 3


def test_an_even_tensor_is_left_alone():
    build = Builder(3, (24, 24))
    model = build.model(build.conv(build.node("Relu", [build.conv("input", 3, 16)]), 16, 4))
    assert find_sites(model)
    assert worthwhile_splits(model, {*find_sites(model)}) == {}


def test_a_tensor_that_is_not_rounded_is_left_alone():
    assert worthwhile_splits(two_channels_matter(), frozenset()) == {}


def test_recipe_exact_splits_nothing():
    model = two_channels_matter()
    assert calibrate(model, list(pictures(model, 2)), CalibrationSettings.recipe_exact(threads=1)).split == {}


def read_by_an_addition(build):
    x = build.node("Relu", [build.conv("input", 3, 8)])
    return build.node("Add", [x, build.conv(x, 8, 8)])


def the_network_s_result(build):
    return build.node("Relu", [build.conv("input", 3, 8)])


def through_a_sigmoid(build):
    return build.conv(build.node("Sigmoid", [build.conv("input", 3, 8)]), 8, 3)


def straight(build):
    return build.conv(build.conv("input", 3, 8), 8, 3)


def read_twice(build):
    x = build.node("Relu", [build.conv("input", 3, 8)], "/shared")
    return build.node("Add", [build.conv(x, 8, 3), build.conv(x, 8, 3)])


SHAPES = {
    "not where an addition reads": (read_by_an_addition, 0),
    "not the network's result": (the_network_s_result, 0),
    "not through a sigmoid": (through_a_sigmoid, 0),
    "without an activation": (straight, 1),
    "for two convolutions": (read_twice, 1),
}


@pytest.mark.parametrize(("shape", "expected"), SHAPES.values(), ids=SHAPES)
def test_sites(shape, expected):
    build = Builder(3, (16, 16))
    assert len(find_sites(build.model(shape(build)))) == expected


BAD = {
    "another tensor": {"/nowhere": (0,)},
    "a channel too many": {"/relu.out": (16,)},
    "a negative channel": {"/relu.out": (-1,)},
}


@pytest.mark.parametrize("splits", BAD.values(), ids=BAD)
def test_a_table_that_does_not_fit_says_so(splits):
    model = two_channels_matter()
    table = calibrate(model, list(pictures(model, 2)), PLAIN)
    with pytest.raises(DataError, match="calibration table splits"):
        quantize(model, replace(table, split=splits))


def test_the_table_keeps_its_splits_as_text():
    table = calibrate(two_channels_matter(), list(pictures(two_channels_matter(), 2)), PLAIN)
    assert CalibrationTable.from_json(table.to_json()).split == table.split != {}
