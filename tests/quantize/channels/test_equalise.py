"""Even channels: the same network, and factors only where they can be moved through."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from small_models import MODELS, Builder, pictures

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.channels.equalise import equalise, find_groups
from vacc_deploy.quantize.improve.choose_factors import even_factors, helpful_factors, look_at
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.sessions import runner
from vacc_deploy.quantize.settings import CalibrationSettings


def measured_factors(model, feeds):
    groups = find_groups(model)
    return even_factors(groups, look_at(model, find_layers(model), groups, feeds, threads=1).peaks)


def uneven():
    """Two convolutions between which one channel is a hundred times as loud and counts as much as another."""
    build = Builder(3, (16, 16))
    x = build.node("Relu", [build.conv("input", 3, 8)], "/relu")
    model = build.model(build.conv(x, 8, 4))
    for name, value in model.graph.initializers.items():
        if name.endswith(".w"):
            array = value.const_value.numpy().copy()
            if value.shape[1] == 3:
                array[0] *= 100
            else:
                array[:, 0] /= 100
            value.const_value = ir.tensor(array, name=value.name)
    return model


@pytest.mark.parametrize("make", [*MODELS.values(), uneven], ids=[*MODELS, "uneven"])
def test_the_network_stays_the_same(make):
    model = make()
    feeds = list(pictures(model, 2))
    changed = equalise(model, measured_factors(model, feeds))
    for before, after in zip(runner(model, 1)(feeds[0]), runner(changed, 1)(feeds[0]), strict=True):
        np.testing.assert_allclose(after, before, rtol=2e-4, atol=2e-5 * np.abs(before).max())


def test_loud_channels_become_quieter():
    model = uneven()
    factors = measured_factors(model, list(pictures(model, 2)))
    assert list(factors) == ["/conv0.out"]
    factor = np.array(factors["/conv0.out"])
    assert factor[0] == factor.max() > 2 * np.median(factor)
    assert 1 / 8 <= factor.min() <= factor.max() <= 8


def already_even():
    """The same network with one filter for all channels: nothing can be won."""
    model = uneven()
    for value in model.graph.initializers.values():
        array = value.const_value.numpy()
        if array.ndim == 4 and array.shape[1] == 3:
            value.const_value = ir.tensor(np.repeat(array[1:2], len(array), axis=0), name=value.name)
        if array.ndim == 1:
            value.const_value = ir.tensor(np.zeros_like(array), name=value.name)
    return model


def through_a_linear_layer():
    """Not a network of which a crop gives a crop."""
    build = Builder(3, (8, 8))
    return build.model(build.node("GlobalAveragePool", [build.conv(build.conv("input", 3, 8), 8, 4)]))


CHOICES = {
    "one loud channel": (uneven, True),
    "channels alike": (already_even, False),
    "whole pictures only": (through_a_linear_layer, False),
}


@pytest.mark.parametrize(("make", "helps"), CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("scheme", ["symmetric", "asymmetric"])
def test_factors_are_kept_where_they_bring_the_network_closer(make, helps, scheme):
    model = make()
    settings = CalibrationSettings(scheme=scheme, threads=1, protect_images=False)
    factors = helpful_factors(model, find_layers(model), list(pictures(model, 4)), settings)
    assert bool(factors) == helps


def test_the_table_holds_the_factors_that_it_was_made_with():
    model = uneven()
    settings = CalibrationSettings(threads=1, protect_images=False)
    table = calibrate(model, list(pictures(model, 4)), settings)
    assert list(table.equalised) == ["/conv0.out"]
    recipe = CalibrationSettings.recipe_exact(threads=1)
    assert calibrate(model, list(pictures(model, 4)), recipe).equalised == {}


def residual_stream(build):
    stream = build.node("Relu", [build.conv("input", 3, 8)])
    step = build.conv(build.node("Relu", [build.conv(stream, 8, 8)]), 8, 8)
    stream = build.node("Relu", [build.node("Add", [stream, step])])
    return build.conv(stream, 8, 3)


def through_a_sigmoid(build):
    return build.conv(build.node("Sigmoid", [build.conv("input", 3, 8)]), 8, 3)


def through_a_shuffle(build):
    return build.conv(build.node("DepthToSpace", [build.conv("input", 3, 16)], blocksize=2), 4, 3)


def straight_to_the_output(build):
    return build.conv("input", 3, 8)


SHAPES = {
    "a residual stream is one group, its branch another": (residual_stream, [(2, 2), (1, 1)]),
    "no factor passes a sigmoid": (through_a_sigmoid, []),
    "nor a pixel shuffle": (through_a_shuffle, []),
    "nor leaves the network": (straight_to_the_output, []),
}


@pytest.mark.parametrize(("shape", "expected"), SHAPES.values(), ids=SHAPES)
def test_groups(shape, expected):
    build = Builder(3, (8, 8))
    groups = find_groups(build.model(shape(build)))
    assert [(len(group.makers), len(group.readers)) for group in groups] == expected


WRONG = {
    "unknown": {"nobody": (1.0,) * 8},
    "too few": {"/conv0.out": (1.0,)},
    "negative": {"/conv0.out": (-1.0,) * 8},
}


@pytest.mark.parametrize("factors", WRONG.values(), ids=WRONG)
def test_factors_of_another_model_are_refused(factors):
    with pytest.raises(DataError, match="equalises channels"):
        equalise(uneven(), factors)
