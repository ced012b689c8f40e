"""docs/adding-a-model.md is true: its files and commands, run by a new user in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_blocks import pattern_of, run_page

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "adding-a-model.md"


@pytest.mark.e2e
@pytest.mark.slow
def test_the_page_runs_as_written(tmp_path: Path) -> None:
    assert run_page(PAGE.read_text(encoding="utf-8"), tmp_path) >= 9
    assert len(list((tmp_path / "enlarged").glob("*.png"))) == 4


LINES = {
    "numbers differ": ("fidelity   50.93 dB", "fidelity   49.10 dB", True),
    "spacing differs": ("a  b", "a     b", True),
    "ellipsis": (
        "emulation on this CPU (…), not the card",
        "emulation on this CPU (X 1), not the card",
        True,
    ),
    "words differ": ("precision  int8", "precision  fp16", False),
    "a number is not a word": ("4 results in enlarged", "no results in enlarged", False),
}


@pytest.mark.parametrize("case", LINES)
def test_shown_output_is_compared_line_by_line(case: str) -> None:
    shown, printed, same = LINES[case]
    assert bool(pattern_of(shown).fullmatch(printed)) is same
