"""Numbers as text: exact, and editable."""

from __future__ import annotations

import pytest

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.exact_number import read_number, write_number


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
