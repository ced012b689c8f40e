"""The search stage: which part of a test picture it scores on, and what it starts from."""

from __future__ import annotations

import numpy as np
import pytest

from vacc_deploy.evaluate import get_protocol
from vacc_deploy.evaluate.protocol import Sample
from vacc_deploy.precision import crop_corner, cropped, likeness_db


def sample(height, width, target_height, target_width):
    rows, columns = np.mgrid[0:height, 0:width]
    network_input = (1000 * rows + columns).astype(np.float32)[None, None]
    target_rows, target_columns = np.mgrid[0:target_height, 0:target_width]
    return Sample(network_input, 1000 * target_rows + target_columns)


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("index", range(6))
def test_a_crop_and_its_truth_show_the_same_place(scale, index):
    crop = cropped(sample(256, 320, 256 * scale, 320 * scale), index)
    assert crop.network_input.shape == (1, 1, 128, 128)
    assert crop.target.shape == (128 * scale, 128 * scale)
    top, left = divmod(int(crop.network_input[0, 0, 0, 0]), 1000)
    assert crop.target[0, 0] == 1000 * scale * top + scale * left


UNCUT = {
    "smaller than a crop": (96, 64, 192, 128),
    "not a whole multiple": (256, 256, 300, 300),
    "another shape": (256, 256, 512, 256),
    "smaller truth": (256, 256, 128, 128),
}


@pytest.mark.parametrize("sizes", UNCUT.values(), ids=UNCUT)
def test_what_cannot_be_cut_exactly_stays_whole(sizes):
    whole = sample(*sizes)
    crop = cropped(whole, 3)
    assert np.array_equal(crop.network_input, whole.network_input)
    assert np.array_equal(crop.target, whole.target)


def test_crops_wander_within_the_picture():
    corners = {crop_corner(512, 512, index) for index in range(6)}
    assert len(corners) == 6
    assert all(0 <= top <= 384 and 0 <= left <= 384 for top, left in corners)
    assert all(top % 32 == 0 == left % 32 for top, left in corners)


LIKENESSES = {
    "in colour although the protocol scores luma": ("lesrcnn_official", (32, 32, 3), True),
    "as the protocol scores where the shapes differ": ("lesrcnn_vamp", (40, 40, 3), False),
}


@pytest.mark.parametrize(("name", "shape", "in_colour"), LIKENESSES.values(), ids=LIKENESSES)
def test_likeness_is_measured_like_fidelity(name, shape, in_colour):
    rng = np.random.default_rng(4)
    protocol, output = get_protocol(name), rng.random((1, 3, 32, 32)).astype(np.float32)
    pair = Sample(np.zeros((1, 3, 16, 16), np.float32), rng.integers(0, 256, shape).astype(np.uint8))
    picture = protocol.to_picture(output[0])
    colour = 10 * np.log10(255**2 / np.mean(np.square(picture - pair.target))) if in_colour else None
    expected = colour if in_colour else protocol.score(picture, pair).psnr_db
    assert likeness_db(protocol, [pair], [output]) == [pytest.approx(expected)]
