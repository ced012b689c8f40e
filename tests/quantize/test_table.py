"""The calibration table as text: exact, editable, and one clear error where it is broken."""

from __future__ import annotations

import pytest
from small_models import FEEDS, MODELS

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable


def test_a_table_survives_its_text():
    model = MODELS["residual"]()
    table = calibrate(model, FEEDS["residual"], CalibrationSettings(threads=1))
    again = CalibrationTable.from_json(table.to_json())
    assert again.to_json() == table.to_json()
    assert quantize(model, again).graph.num_nodes() == quantize(model, table).graph.num_nodes()


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


MISSPELT = {
    "a layer's key": ('"precision"', '"precison"', "unknown key 'precison'"),
    "a tensor's key": ('"low"', '"lo"', "unknown key 'lo'"),
    "a layer": ('"/conv0"', '"/konv0"', "names a layer '/konv0'"),
}


@pytest.mark.parametrize(("right", "wrong", "words"), MISSPELT.values(), ids=MISSPELT)
def test_an_edit_that_would_have_no_effect_is_refused_with_what_was_meant(right, wrong, words):
    model = MODELS["residual"]()
    text = calibrate(model, FEEDS["residual"], CalibrationSettings.recipe_exact(threads=1)).to_json()
    assert right in text
    with pytest.raises(DataError, match=words) as caught:
        quantize(model, CalibrationTable.from_json(text.replace(right, wrong, 1)))
    assert "did you mean" in str(caught.value)
