"""`diff`: single and entire errors."""

from __future__ import annotations

from small_models import FEEDS, MODELS

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.diff import diff_layers
from vacc_deploy.quantize.settings import CalibrationSettings


def test_diff_tells_single_from_entire():
    model, feeds = MODELS["residual"](), FEEDS["residual"][:2]
    table = calibrate(model, feeds, CalibrationSettings.recipe_exact(threads=1))
    lines = diff_layers(model, table, feeds, threads=1)
    assert [line.name for line in lines] == list(table.layers)
    convolutions = [line for line in lines if line.op_type == "Conv"]
    assert convolutions[0].entire == convolutions[0].single  # nothing is quantised before the first layer
    assert convolutions[-1].entire.sqnr_db < convolutions[-1].single.sqnr_db
    assert all(line.precision == "int8" for line in convolutions)
