"""Shapes given as flags find the inputs they are meant for."""

from __future__ import annotations

import pytest

from vacc_deploy.config.input_shapes import GivenShape, match_shapes
from vacc_deploy.errors import ConfigError

TWO: dict[str, int | None] = {"image": 4, "tokens": 3}

MATCHES: dict[str, tuple[list[GivenShape], dict[str, int | None], dict[str, tuple[int, ...]]]] = {
    "nothing": ([], TWO, {}),
    "the batch is added": ([("", (3, 8, 12))], {"image": 4}, {"image": (1, 3, 8, 12)}),
    "the batch is there": ([("", (1, 3, 8, 12))], {"image": 4}, {"image": (1, 3, 8, 12)}),
    "three dimensions are no picture": ([("", (1, 77, 8))], {"tokens": 3}, {"tokens": (1, 77, 8)}),
    "an unknown rank means a picture": ([("", (3, 8, 12))], {"image": None}, {"image": (1, 3, 8, 12)}),
    "an unknown rank with the batch": ([("", (1, 77))], {"tokens": None}, {"tokens": (1, 77)}),
    "by name": ([("tokens", (77, 8))], TWO, {"tokens": (1, 77, 8)}),
    "in order": ([("", (3, 8, 12)), ("", (77, 8))], TWO, {"image": (1, 3, 8, 12), "tokens": (1, 77, 8)}),
    "the rest in order": (
        [("image", (3, 8, 12)), ("", (77, 8))], TWO, {"image": (1, 3, 8, 12), "tokens": (1, 77, 8)}
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "ranks", "expected"), MATCHES.values(), ids=MATCHES)
def test_shapes_find_their_inputs(
    given: list[GivenShape], ranks: dict[str, int | None], expected: dict[str, tuple[int, ...]]
) -> None:
    assert match_shapes(given, ranks, "net.onnx") == expected


REFUSALS: dict[str, tuple[list[GivenShape], str]] = {
    "an unknown name": ([("imag", (3, 8, 12))], "no input 'imag'"),
    "a name twice": ([("image", (3, 8, 12))] * 2, "'image' two shapes"),
    "one too many": ([("", (3, 8, 12))] * 3, "more shapes than there are inputs"),
}


@pytest.mark.parametrize(("given", "message"), REFUSALS.values(), ids=REFUSALS)
def test_shapes_without_an_input_are_refused(given: list[GivenShape], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        match_shapes(given, TWO, "net.onnx")
    assert "net.onnx" in str(caught.value)
    assert "next" in str(caught.value)
