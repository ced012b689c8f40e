"""What a quantised network loses, in dB: measured against references, or derived from its fidelity.

*Fidelity* is the PSNR of the quantised output against the float output. If quantisation noise is
independent of the float network's own error, a network that reaches P dB and has fidelity F loses

    drop = 10·log10(1 + 10^((P − F) / 10))

so at 31 dB a drop below 0.05 dB needs F ≥ 50.4 dB.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.crop_support import runs_on_crops
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.sessions import Feed, Run, runner
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.quantize.unsigned import to_unsigned

Array = npt.NDArray[Any]
Select = Callable[[Sequence[Array]], Array]  # of a network's outputs the one that is the picture

_MOST_DB = 120.0
_SMALL_DROP_DB = 0.05  # that nobody sees
_USUAL_DB = 31.0  # what networks reach on their task where nothing else is known
_EASY = 0.75  # quantile of the pictures that stands for an easy test set


class Score(Protocol):
    """Something that says how much a network loses."""

    def __call__(self, run: Run) -> float:
        """The loss in dB of the network behind `run`; smaller is better, negative is a gain."""


def quantized_runner(model: ir.Model, table: CalibrationTable, threads: int) -> Run:
    """A function that runs float `model` as `table` quantises it; crops, too, where it `runs_on_crops`."""
    return runner(to_unsigned(quantize(model, table)), threads, any_size=runs_on_crops(model))


def drop_from_fidelity(fidelity_db: float, psnr_db: float) -> float:
    """The expected drop of a network that reaches `psnr_db` when its output has fidelity `fidelity_db`."""
    return 10 * math.log10(1 + 10 ** ((psnr_db - fidelity_db) / 10))


def fidelity_for_drop(drop_db: float, psnr_db: float) -> float:
    """The fidelity that a network at `psnr_db` needs to lose no more than `drop_db`."""
    return psnr_db - 10 * math.log10(10 ** (drop_db / 10) - 1)


def tolerance_text(fidelity_db: float, psnr_db: float) -> str:
    """Which fidelity the task needs, and what the present one costs, in one sentence."""
    needed = fidelity_for_drop(_SMALL_DROP_DB, psnr_db)
    expected = drop_from_fidelity(fidelity_db, psnr_db)
    verdict = "is enough" if fidelity_db >= needed else "is not"
    return (
        f"to lose less than {_SMALL_DROP_DB:g} dB at {psnr_db:.1f} dB, fidelity must be at least "
        f"{needed:.1f} dB; "
        f"{fidelity_db:.1f} dB {verdict} (it costs about {expected:.3f} dB)"
    )


def psnr(a: Array, b: Array, peak: float) -> float:
    """PSNR of two arrays in dB, at most 120."""
    error = float(np.mean(np.square(a.astype(np.float64) - b.astype(np.float64))))
    return min(_MOST_DB, 10 * math.log10(peak * peak / error)) if error > 0 else _MOST_DB


def peak_of(outputs: Sequence[Array]) -> float:
    """The span that a network's picture is meant to have: 1 for [0, 1], 2 for [−1, 1], 255 for bytes."""
    low, high = min(float(x.min()) for x in outputs), max(float(x.max()) for x in outputs)
    if low > -0.5 and high < 1.5:
        return 1.0
    if low > -1.8 and high < 1.8:
        return 2.0
    return 255.0 if low > -64 and 64 < high < 320 else max(high - low, 1e-6)


def first_output(outputs: Sequence[Array]) -> Array:
    """The first of a network's outputs."""
    return outputs[0]


class FidelityScore:
    """The drop that fidelity implies, on pictures without references.

    Args:
        model: Float model.
        feeds: Inputs, kept in memory.
        psnr_db: What the float network reaches on its task.
        threads: Threads of ONNX Runtime.
        select: Which output counts.
    """

    def __init__(
        self,
        model: ir.Model,
        feeds: Sequence[Feed],
        *,
        psnr_db: float = _USUAL_DB,
        threads: int = 2,
        select: Select = first_output,
    ) -> None:
        run = runner(model, threads, any_size=runs_on_crops(model))
        self.feeds = list(feeds)
        self.select = select
        self.expected = [select(run(feed)) for feed in self.feeds]
        self.peak = peak_of(self.expected)
        self.psnr_db = psnr_db

    def fidelity_db(self, run: Run) -> float:
        """Mean fidelity over the pictures."""
        values = [
            psnr(self.select(run(feed)), expected, self.peak)
            for feed, expected in zip(self.feeds, self.expected, strict=True)
        ]
        return float(np.mean(values))

    def __call__(self, run: Run) -> float:
        """The drop that `fidelity_db` implies."""
        return drop_from_fidelity(self.fidelity_db(run), self.psnr_db)


class ReferenceScore:
    """The drop against reference pictures, or the one that fidelity implies where that is larger.

    On a few pictures part of the noise happens to point towards the ground truth, and the same noise costs
    more where the network does well: at 34 dB twice what it costs at 31 dB. The test set is not known, so
    the implied drop is the one at the PSNR that a quarter of the pictures exceed.

    Args:
        model: Float model.
        feeds: Inputs, kept in memory.
        quality: From the list of all pictures' outputs to the PSNR of each.
        likeness: The same on the scale on which fidelity is measured, with colours; `quality` by default. A
            protocol that compares luma alone gives higher figures, and noise in luma is smaller too.
        threads: Threads of ONNX Runtime.
        select: Which output counts.
    """

    def __init__(
        self,
        model: ir.Model,
        feeds: Sequence[Feed],
        quality: Callable[[list[Array]], list[float]],
        *,
        likeness: Callable[[list[Array]], list[float]] | None = None,
        threads: int = 2,
        select: Select = first_output,
    ) -> None:
        self.feeds = list(feeds)
        self.quality = quality
        run = runner(model, threads, any_size=runs_on_crops(model))
        self.select = select
        self.expected = [select(run(feed)) for feed in self.feeds]
        self.peak = peak_of(self.expected)
        self.float_db = float(np.mean(quality(self.expected)))
        self.psnr_db = max(float(np.quantile((likeness or quality)(self.expected), _EASY)), _USUAL_DB)

    def __call__(self, run: Run) -> float:
        """The larger of the measured and the implied drop."""
        outputs = [self.select(run(feed)) for feed in self.feeds]
        fidelity = [psnr(y, x, self.peak) for y, x in zip(outputs, self.expected, strict=True)]
        implied = drop_from_fidelity(float(np.mean(fidelity)), self.psnr_db)
        return max(self.float_db - float(np.mean(self.quality(outputs))), implied)
