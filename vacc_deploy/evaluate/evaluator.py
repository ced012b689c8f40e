"""Score a model over a folder of test pictures, beside its float reference where there is one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import DataError, RunError
from vacc_deploy.evaluate.model_function import ModelFunction
from vacc_deploy.evaluate.pairing import Pair, list_ground_truth, pair_files
from vacc_deploy.evaluate.protocol import EvaluationProtocol, Sample
from vacc_deploy.evaluate.psnr import psnr
from vacc_deploy.evaluate.tiling import run_tiled

IDENTICAL_DB = 200.0  # stands for an infinite PSNR: JSON has no infinity, and a mean should stay finite


@dataclass(frozen=True, slots=True)
class ImageScore:
    """One picture's figures; the last three need a reference.

    `fidelity_db` is the PSNR of the model's unrounded output against the reference's.
    """

    name: str
    psnr_db: float
    ssim: float
    reference_psnr_db: float | None = None
    reference_ssim: float | None = None
    fidelity_db: float | None = None


@dataclass(frozen=True, slots=True)
class EvalResult:
    """Means over all pictures; `drop_db` is reference minus model, positive where the model is worse."""

    protocol: str
    psnr_db: float
    ssim: float
    images: int
    reference_psnr_db: float | None
    reference_ssim: float | None
    drop_db: float | None
    fidelity_db: float | None
    notes: tuple[str, ...]
    rows: tuple[ImageScore, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)


def evaluate(
    model_fn: ModelFunction,
    protocol: EvaluationProtocol,
    lr_dir: str | Path | None,
    hr_dir: str | Path,
    reference_fn: ModelFunction | None = None,
    *,
    progress: Callable[[], object] | None = None,
    on_picture: Callable[[str, NDArray[np.float32]], object] | None = None,
    on_reference: Callable[[str, NDArray[np.float32]], object] | None = None,
) -> EvalResult:
    """Score `model_fn` under a protocol.

    Args:
        model_fn: The model; its `input_shape` attribute, where it has one, says which size it takes.
        protocol: See `get_protocol`.
        lr_dir: Low-resolution pictures; None, or `hr_dir` again, lets protocols that can do so make them from
            the ground truth.
        hr_dir: Ground truth.
        reference_fn: The float model, fed with the same inputs.
        progress: Called after each picture.
        on_picture: Called with each picture's name and pixels (0 … 255, unrounded).
        on_reference: Called with what the float model makes of it, likewise.

    Raises:
        DataError: Pictures are missing, unpaired or do not fit.
        RunError: The model does not take what the protocol feeds.
    """
    pairs = select_pairs(protocol, lr_dir, hr_dir)
    notes: list[str] = []
    if protocol.low_resolution == "made" and lr_dir is not None and Path(lr_dir) != Path(hr_dir):
        notes.append(f"{protocol.name} makes its inputs from the ground truth; '{lr_dir}' is not used")
    rows = []
    for pair in pairs:
        sample = protocol.load(pair, _fixed_size(model_fn) or protocol.default_size)
        picture = _run(model_fn, protocol, sample, notes)
        reference = None if reference_fn is None else _run(reference_fn, protocol, sample, notes)
        rows.append(_score(pair, protocol, sample, picture, reference))
        if on_reference is not None and reference is not None:
            on_reference(pair.name, reference)
        if on_picture is not None:
            on_picture(pair.name, picture)
        if progress is not None:
            progress()
    return _summary(protocol.name, rows, notes)


def select_pairs(protocol: EvaluationProtocol, lr_dir: str | Path | None, hr_dir: str | Path) -> list[Pair]:
    """The test pictures that a protocol takes from these folders, sorted by name.

    Raises:
        DataError: There are none, a file has no partner, or the protocol needs `lr_dir` and it is None.
    """
    high = Path(hr_dir)
    if protocol.low_resolution == "made":
        return list_ground_truth(high)
    if protocol.low_resolution == "optional" and (lr_dir is None or Path(lr_dir).resolve() == high.resolve()):
        return list_ground_truth(high)
    if lr_dir is None:
        raise DataError(
            f"the protocol {protocol.name} needs low-resolution pictures", hint="give their folder with --lr"
        )
    return pair_files(Path(lr_dir), high, protocol.scale)


def _fixed_size(model_fn: ModelFunction) -> tuple[int, int] | None:
    shape = getattr(model_fn, "input_shape", None)
    if shape is None or len(shape) != 4 or shape[2] is None or shape[3] is None:
        return None
    return int(shape[2]), int(shape[3])


def _run(
    model_fn: ModelFunction, protocol: EvaluationProtocol, sample: Sample, notes: list[str]
) -> NDArray[np.float32]:
    """The model's picture for one sample, before clipping and rounding."""
    network_input = sample.network_input
    shape = getattr(model_fn, "input_shape", None)
    if shape is not None and (len(shape) != 4 or shape[1] not in (None, network_input.shape[1])):
        raise RunError(
            f"the protocol {protocol.name} feeds {network_input.shape[1]} channel(s), the model takes "
            f"{shape[1] if len(shape) == 4 else shape}",
            where=getattr(model_fn, "name", None),
            hint="choose the protocol of this model with --protocol, and its own float file as --reference",
        )

    def selected(tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(protocol.select(model_fn([tensor])), np.float32)

    size, given = _fixed_size(model_fn), (network_input.shape[2], network_input.shape[3])
    if size is None or size == given:
        output = selected(network_input)
    elif protocol.native_size:
        note = (
            f"{protocol.name} feeds pictures at their own sizes; this model takes {size[1]}x{size[0]} "
            "and ran in overlapping tiles. Compile for a picture's own size for the protocol to the letter."
        )
        if note not in notes:
            notes.append(note)
        output = run_tiled(selected, network_input, size)
    else:
        raise RunError(
            f"the protocol {protocol.name} feeds {given[1]}x{given[0]} pixels, "
            f"the model takes {size[1]}x{size[0]}",
            where=getattr(model_fn, "name", None),
            hint="compare models compiled for the same input size",
        )
    if not np.isfinite(output).all():
        raise RunError(
            "the model's output holds NaN or infinity", hint="run `vdeploy diff` to find the layer"
        )
    return protocol.to_picture(output[0])


def _score(
    pair: Pair,
    protocol: EvaluationProtocol,
    sample: Sample,
    picture: NDArray[np.float32],
    reference: NDArray[np.float32] | None,
) -> ImageScore:
    own = protocol.score(picture, sample)
    if reference is None:
        return ImageScore(pair.name, _finite(own.psnr_db), own.ssim)
    if reference.shape != picture.shape:
        raise RunError(
            f"the reference makes {reference.shape}, the model {picture.shape}: not the same network"
        )
    other = protocol.score(reference, sample)
    return ImageScore(
        pair.name,
        _finite(own.psnr_db),
        own.ssim,
        _finite(other.psnr_db),
        other.ssim,
        _finite(psnr(picture, reference)),
    )


def _summary(protocol: str, rows: list[ImageScore], notes: list[str]) -> EvalResult:
    def mean(name: str) -> float | None:
        values = [getattr(row, name) for row in rows]
        return None if None in values else float(np.mean(values))

    psnr_db, ssim, reference_psnr_db = mean("psnr_db") or 0.0, mean("ssim") or 0.0, mean("reference_psnr_db")
    return EvalResult(
        protocol=protocol,
        psnr_db=psnr_db,
        ssim=ssim,
        images=len(rows),
        reference_psnr_db=reference_psnr_db,
        reference_ssim=mean("reference_ssim"),
        drop_db=None if reference_psnr_db is None else reference_psnr_db - psnr_db,
        fidelity_db=mean("fidelity_db"),
        notes=tuple(notes),
        rows=tuple(rows),
    )


def _finite(value: float) -> float:
    return IDENTICAL_DB if math.isinf(value) else value
