from __future__ import annotations

import pytest
import typer

from vacc_deploy.cli.bench import rewrite_arguments
from vacc_deploy.cli.run import rewrite_arguments as rewrite_run
from vacc_deploy.cli.vamp_arguments import (
    parse_device_ids,
    parse_named_shapes,
    parse_percentiles,
    parse_shapes,
)

SPELLINGS: dict[str, tuple[str, str]] = {
    "as documented": ("-m a/mod -i 1 -p 1 -b 2", "-m a/mod -i 1 -p 1 -b 2"),
    "lost dash of p": ("-m a/mod -i 1 p 1 -b 2", "-m a/mod -i 1 -p 1 -b 2"),
    "lost dash at the end": ("-i 2 p 2", "-i 2 -p 2"),
    "an artifact called p": ("-m p -i 1", "-m p -i 1"),
    "a folder called p before a number": ("--path_output p 1", "--path_output p 1"),
    "shape in brackets": ("-s [3,512,512] -b 1", "-s [3,512,512] -b 1"),
    "shape with spaces": ("-s [3, 512, 512] -b 1", "-s [3, 512, 512] -b 1"),
    "shape as three words": ("-s 3 512 512 -b 1", "-s 3, 512, 512 -b 1"),
    "shapes of a token model": ("-s [[1,512],[1,512]] p 1", "-s [[1,512],[1,512]] -p 1"),
}


@pytest.mark.parametrize(("given", "expected"), SPELLINGS.values(), ids=SPELLINGS)
def test_vamp_spellings_are_repaired(given: str, expected: str) -> None:
    assert " ".join(rewrite_arguments(given.split())) == expected


def test_a_repair_is_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    rewrite_arguments(["-i", "1", "p", "3"])
    assert "'p 3' is taken as '-p 3'" in capsys.readouterr().err


SHAPES: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "plain": ("3,512,512", ((3, 512, 512),)),
    "trailing comma": ("3,512,", ((3, 512),)),
    "brackets": ("[3,512,512]", ((3, 512, 512),)),
    "spaces": ("[3, 512, 512]", ((3, 512, 512),)),
    "crosses": ("3x512x512", ((3, 512, 512),)),
    "batch": ("[1,3,512,512]", ((1, 3, 512, 512),)),
    "six inputs": ("[" + ",".join(["[1,384]"] * 6) + "]", ((1, 384),) * 6),
    "tuples": ("((1,384),(1,384))", ((1, 384),) * 2),
}


@pytest.mark.parametrize(("text", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes_are_read(text: str, expected: tuple[tuple[int, ...], ...]) -> None:
    assert parse_shapes(text) == expected


@pytest.mark.parametrize("text", ["", "[]", "a,b", "3,-1,5", "[[1,2],3]", "3;512", "__import__('os')"])
def test_wrong_shapes_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_shapes(text)


NAMED_SHAPES: dict[str, tuple[list[str], list[tuple[str, tuple[int, ...]]]]] = {
    "no name": (["3,8,12"], [("", (3, 8, 12))]),
    "a name": (["image:1x3x8x12"], [("image", (1, 3, 8, 12))]),
    "a name with a colon": (["image:0:[1, 3, 8, 12]"], [("image:0", (1, 3, 8, 12))]),
    "several": (["a:1,2", "[[3,4],[5,6]]"], [("a", (1, 2)), ("", (3, 4)), ("", (5, 6))]),
}


@pytest.mark.parametrize(("texts", "expected"), NAMED_SHAPES.values(), ids=NAMED_SHAPES)
def test_named_shapes_are_read(texts: list[str], expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert list(parse_named_shapes(texts)) == expected


@pytest.mark.parametrize("text", ["image:", "image:h,w", "image:[[1,2],[3,4]]"])
def test_wrong_named_shapes_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"no shape|several shapes"):
        parse_named_shapes([text])


@pytest.mark.parametrize("text", ["0", "[0,1]", "0, 1"])
def test_device_lists(text: str) -> None:
    assert parse_device_ids(text) == tuple(range(text.count(",") + 1))


def test_percentiles_may_be_fractions() -> None:
    assert parse_percentiles("[50, 99.9]") == (50, 99.9)


@pytest.mark.parametrize("text", ["zero", "[0, 0.5]", "1e999", "", "{}"])
def test_no_device_list(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_device_ids(text)


def test_run_takes_several_inputs_after_one_flag() -> None:
    given = ["a/mod", "--input", "x.png", "y.png", "-o", "out", "--npz"]
    assert rewrite_run(given) == ["a/mod", "--input", "x.png", "--input", "y.png", "-o", "out", "--npz"]
