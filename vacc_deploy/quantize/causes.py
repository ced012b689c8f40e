"""Which layers a quantised network loses most by, each tried in fp16 in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from vacc_deploy.quantize.diff import LayerDiff
from vacc_deploy.quantize.score import Score, quantized_runner
from vacc_deploy.quantize.table import CalibrationTable


@dataclass(frozen=True, slots=True)
class Cause:
    """One layer's part in the loss.

    Attributes:
        name: The layer.
        won_back_db: What the network wins back with this layer in fp16.
        macs_share: Fraction of the MACs that moves to fp16 with it.
        text: The same in words.
    """

    name: str
    won_back_db: float
    macs_share: float
    text: str


def find_causes(
    model: ir.Model,
    table: CalibrationTable,
    score: Score,
    lines: Sequence[LayerDiff],
    *,
    most: int = 5,
    threads: int = 2,
) -> tuple[float, list[Cause]]:
    """The whole loss, and the layers that cause most of it.

    Puts the int8 layers with the worst single SQNR into fp16 one at a time and measures.

    Args:
        model: Float model.
        table: The artifact's calibration table.
        score: What a network loses, in dB.
        lines: From `diff_layers`.
        most: How many layers to try.
        threads: Threads of ONNX Runtime.
    """
    whole = score(quantized_runner(model, table, threads))
    suspects = sorted((line for line in lines if line.precision == "int8"), key=lambda n: n.single.sqnr_db)
    causes = []
    for line in suspects[:most]:
        changed = table.with_precision(line.name, "fp16", "diff")
        left = score(quantized_runner(model, changed, threads))
        won = whole - left
        causes.append(Cause(line.name, won, line.macs_share, cause_in_words(line, won, whole)))
    return whole, sorted(causes, key=lambda cause: -cause.won_back_db)


def cause_in_words(line: LayerDiff, won: float, whole: float) -> str:
    """What of the lost `whole` dB having `line` in fp16 wins back, in one sentence."""
    layer = f"{line.name} ({line.op_type}, single SQNR {line.single.sqnr_db:.1f} dB)"
    cost = f"+{100 * line.macs_share:.2f} % of the MACs in fp16"
    digits = 2 if whole >= 0.1 else 3
    if round(whole, digits) <= 0:
        return f"nothing is lost that {layer} in fp16 could win back, for {cost}"
    if round(won, digits) <= 0:
        return f"none of the lost {whole:.{digits}f} dB comes back with {layer} in fp16, for {cost}"
    return (
        f"{won:.{digits}f} of the lost {whole:.{digits}f} dB come from {layer}; "
        f"in fp16: {won:+.{digits}f} dB, {cost}"
    )
