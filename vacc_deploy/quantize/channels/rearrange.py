"""The float network in the form that is quantised: another one of weights, the same one of results."""

from __future__ import annotations

import onnx_ir as ir

from vacc_deploy.errors import DataError
from vacc_deploy.quantize.channels.equalise import equalise
from vacc_deploy.quantize.channels.split import split_channels
from vacc_deploy.quantize.table import CalibrationTable


def rearranged(model: ir.Model, table: CalibrationTable) -> ir.Model:
    """`model` with the channels of its tensors evened out and split as `table` says; itself if it does not.

    Raises:
        DataError: The table's channels are not this model's, or a tensor with split channels has no range.
    """

    def step_of(name: str) -> float:
        if name not in table.tensors:
            raise DataError(
                "the calibration table splits the channels of a tensor that it has no threshold for",
                where=name,
                hint="calibrate again, or delete the line",
            )
        return float(table.params(name).scale)

    return split_channels(equalise(model, table.equalised), table.split, step_of)
