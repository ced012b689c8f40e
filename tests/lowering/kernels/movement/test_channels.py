"""Concatenation, slices and reorderings of channels."""

from __future__ import annotations

import numpy as np
import pytest
from plane_harness import BOTH_SIDES, NATIVE, RUNNABLE, codes, floats, run_to_plane, to_plane

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.kernels.movement import channels
from vacc_deploy.lowering.plane import Halo, Plane
from vacc_deploy.lowering.target import TARGETS

CONCATS = {
    "aligned": (64, 64),
    "aligned_many": (128, 64, 192),
    "last_partial": (64, 65),
    "unaligned": (3, 64, 30),
    "rgb_and_depth": (3, 1),
    "halves": (32, 32),
    "small": (5, 1, 9),
}


def random_tables(count: int) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (count, 256)).astype(np.uint8)


@pytest.mark.parametrize("requantized", ["none", "second", "all"])
@pytest.mark.parametrize("sizes", CONCATS.values(), ids=CONCATS)
def test_concatenates(sizes: tuple[int, ...], requantized: str) -> None:
    inputs = [Plane(1, c, 3, 7, "uint8", Halo(i, 0, 1, 2), 100 + i) for i, c in enumerate(sizes)]
    output = Plane(1, sum(sizes), 3, 7, "uint8", BOTH_SIDES, 55)
    flags = [requantized == "all" or (requantized == "second" and i == 1) for i in range(len(sizes))]
    tables = {i: table for i, table in enumerate(random_tables(len(sizes))) if flags[i]}
    q = [codes(plane, seed) for seed, plane in enumerate(inputs)]
    kernel = channels.build(channels.concat(inputs, output, flags), NATIVE, tables)
    given = [to_plane(array, plane) for array, plane in zip(q, inputs, strict=True)]
    expected = np.concatenate([tables[i][a] if flags[i] else a for i, a in enumerate(q)], axis=1)
    np.testing.assert_array_equal(run_to_plane(kernel, given, output), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_concatenates_floats(dtype: str) -> None:
    inputs = [Plane(2, c, 3, 5, dtype, Halo(i, 0, 1, 2)) for i, c in enumerate((64, 3, 70))]
    output = Plane(2, 137, 3, 5, dtype, BOTH_SIDES)
    x = [floats(plane, seed) for seed, plane in enumerate(inputs)]
    kernel = channels.build(channels.concat(inputs, output), NATIVE)
    given = [to_plane(array, plane) for array, plane in zip(x, inputs, strict=True)]
    np.testing.assert_array_equal(run_to_plane(kernel, given, output), np.concatenate(x, axis=1))


TAKEN = {
    "front": (130, range(64)),
    "aligned": (192, range(64, 192)),
    "unaligned": (130, range(30, 100)),
    "every_other": (20, range(0, 20, 2)),
    "reversed": (5, range(4, -1, -1)),
    "shuffle": (128, [group * 32 + i for i in range(32) for group in range(4)]),
    "one": (65, [64]),
}


@pytest.mark.parametrize(("count", "order"), TAKEN.values(), ids=TAKEN)
def test_takes_channels(count: int, order: list[int]) -> None:
    source = Plane(2, count, 3, 5, "uint8", Halo(1, 1, 0, 0), 9)
    output = Plane(2, len(order), 3, 5, "uint8", BOTH_SIDES, 9)
    q = codes(source)
    kernel = channels.build(channels.take_channels(source, output, order), NATIVE)
    np.testing.assert_array_equal(run_to_plane(kernel, [to_plane(q, source)], output), q[:, list(order)])


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_target_gives_the_same_bytes(name: str) -> None:
    inputs = [Plane(1, c, 2, 5, "uint8") for c in (64, 20)]
    output = Plane(1, 84, 2, 5, "uint8", BOTH_SIDES, 1)
    tables = dict(enumerate(random_tables(2)))
    q = [codes(plane, seed) for seed, plane in enumerate(inputs)]
    kernel = channels.build(channels.concat(inputs, output, [True, True]), TARGETS[name], tables)
    given = [to_plane(array, plane) for array, plane in zip(q, inputs, strict=True)]
    expected = np.concatenate([tables[i][a] for i, a in enumerate(q)], axis=1)
    np.testing.assert_array_equal(run_to_plane(kernel, given, output, TARGETS[name]), expected)


def test_refuses_pieces_that_do_not_fill_the_output() -> None:
    with pytest.raises(ModelError, match="are not"):
        channels.concat([Plane(1, 3, 2, 2, "uint8")], Plane(1, 4, 2, 2, "uint8"))
