"""Does calibration see what the network will see?  One picture through process_ops and the vdsp operator.

A network calibrated on other numbers than it runs on loses accuracy without any error message; the usual
causes are the resize kernel, the channel order and the normalisation.  Each is found by undoing it: if the
difference then goes away, that was the reason, and how much it changes is measured in 8-bit steps, the effect
of one grey level on the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.check.pipelines import Normalisation, PixelPath, path_of_process_ops, path_of_vdsp
from vacc_deploy.config import BuildConfig, ProcessOp, VdspParams
from vacc_deploy.config.process_ops import Resize
from vacc_deploy.data import apply_process_ops
from vacc_deploy.data.color import luma
from vacc_deploy.data.resize import ResizeMethod, resize
from vacc_deploy.errors import ConfigError
from vacc_deploy.runtime.vdsp import Image, ImageFormat, VdspOp

_VISIBLE = 1.0  # steps; rounding to fp16 alone stays below
_MEAN_VISIBLE = 0.25


@dataclass(frozen=True, slots=True)
class Reason:
    """Why calibration and run time differ.

    Attributes:
        cause: ``resize kernel``, ``channel order``, ``normalisation``, ``geometry``, or ``unexplained``.
        text: What each side does.
        max_steps: The largest difference it causes by itself, in 8-bit steps.
        mean_steps: The mean difference it causes by itself.
    """

    cause: str
    text: str
    max_steps: float
    mean_steps: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference on one picture.

    Attributes:
        picture: Its name.
        size: Its height and width.
        max_steps: The largest difference, in 8-bit steps.
        mean_steps: The mean difference.
        reasons: What explains the difference, the largest first.
        resize_quality: What the run-time resize itself loses against the kernel that training code uses, or
            None.
    """

    picture: str
    size: tuple[int, int]
    max_steps: float
    mean_steps: float
    reasons: tuple[Reason, ...]
    resize_quality: Reason | None

    @property
    def agrees(self) -> bool:
        """Whether both sides feed the network the same numbers, up to rounding."""
        return self.max_steps <= _VISIBLE or not self.reasons

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self) | {"agrees": self.agrees}


def compare_preprocessing(
    config: BuildConfig, params: VdspParams, rgb: NDArray[np.uint8], picture: str
) -> Comparison:
    """Send one picture through both pipelines and explain the difference.

    Args:
        config: The build YAML; its process_ops are the calibration side.
        params: The vdsp operator; the run-time side.
        rgb: The picture, uint8 (H, W, 3).
        picture: Its name, for the report.

    Raises:
        ConfigError: The YAML has no process_ops or several inputs, or the operator makes no tensor.
    """
    sides = _Sides(config, params, rgb)
    flagged = sides.structural_differences()
    difference = sides.steps(frozenset())
    undone = frozenset(flagged)
    reasons = []
    for cause, text in flagged.items():
        alone = sides.steps(undone - {cause})
        reasons.append(Reason(cause, text, *_statistics(alone)))
    rest = sides.steps(undone)
    if rest.max() > _VISIBLE and rest.mean() > _MEAN_VISIBLE and "geometry" not in flagged:
        reasons.append(
            Reason("unexplained", "the rest of the difference has another cause", *_statistics(rest))
        )
    visible = sorted((r for r in reasons if r.max_steps > _VISIBLE), key=lambda r: -r.mean_steps)
    height, width = rgb.shape[:2]
    return Comparison(
        picture, (height, width), *_statistics(difference), tuple(visible), sides.resize_quality()
    )


def is_comparable(config: BuildConfig) -> bool:
    """Whether a build YAML says how pictures are prepared, for a network with a single picture input."""
    shapes = list(config.inputs.values())
    return bool(config.dataset and config.dataset.process_ops) and [len(shape) for shape in shapes] == [4]


class _Sides:
    """Both pipelines over one picture, with differences that can be undone one by one."""

    def __init__(self, config: BuildConfig, params: VdspParams, rgb: NDArray[np.uint8]) -> None:
        if config.dataset is None or not is_comparable(config):
            raise ConfigError(
                "there is nothing to compare: the build YAML has no process_ops for a single picture input",
                where=config.source,
                hint="give the YAML of an image network",
            )
        self.ops: Sequence[ProcessOp] = config.dataset.process_ops
        (self.shape,) = config.inputs.values()
        self.size = (self.shape[2], self.shape[3])
        self.rgb = rgb
        self.params = params
        self.operator = VdspOp.from_config(params.op_type, params.config)
        self.calibration = path_of_process_ops(self.ops)
        self.run_time = path_of_vdsp(params, self.size)

    def structural_differences(self) -> dict[str, str]:
        """Cause → what each side does, for everything the two say differently."""
        ours, theirs = self.calibration, self.run_time
        found: dict[str, str] = {}
        if "none" not in (ours.kernel, theirs.kernel) and ours.kernel != theirs.kernel:
            found["resize kernel"] = (
                f"calibration resizes with {ours.kernel}, the run stream with {theirs.kernel}"
            )
        if ours.swaps_channels != theirs.swaps_channels and self.shape[1] == 3:
            names = {True: "BGR", False: "RGB"}
            mine, other = names[ours.swaps_channels], names[theirs.swaps_channels]
            found["channel order"] = f"calibration feeds {mine}, the run stream {other}"
        if not ours.normalisation.agrees_with(theirs.normalisation):
            found["normalisation"] = (
                f"calibration computes {ours.normalisation}, the run stream {theirs.normalisation}"
            )
        if _geometry(ours) != _geometry(theirs):
            found["geometry"] = f"calibration: {_geometry(ours)}; run stream: {_geometry(theirs)}"
        return found

    def steps(self, undone: frozenset[str]) -> NDArray[np.float32]:
        """|calibration − run time| in 8-bit steps, (C, H, W), with some causes undone."""
        calibration = self._calibrate("resize kernel" in undone, "channel order" in undone)
        run_time = self._run("normalisation" in undone)
        ours = self.calibration.normalisation
        step = np.abs(np.subtract(ours.at(1.0), ours.at(0.0)))[: calibration.shape[0], None, None]
        difference: NDArray[np.float32] = np.abs(calibration - run_time) / step.astype(np.float32)
        return difference

    def _calibrate(self, with_their_kernel: bool, swapped: bool) -> NDArray[np.float32]:
        ops = [_with_kernel(op, self.run_time.kernel) if with_their_kernel else op for op in self.ops]
        rgb = np.ascontiguousarray(self.rgb[:, :, ::-1]) if swapped else self.rgb
        tensor: NDArray[np.float32] = apply_process_ops(rgb, ops, self.shape)[0]
        return tensor

    def _run(self, with_our_normalisation: bool) -> NDArray[np.float32]:
        picture = self.rgb
        if self.shape[1] == 1:  # the vendor's scripts hand over Y three times; the network takes one
            picture = np.repeat(luma(picture)[:, :, None], 3, axis=2)
        planar = Image(np.ascontiguousarray(picture.transpose(2, 0, 1)), ImageFormat.RGB_PLANAR)
        overrides = _as_vdsp(self.calibration.normalisation) if with_our_normalisation else {}
        return self.operator.run(planar, input_shape=self.shape, **overrides).astype(np.float32)

    def resize_quality(self) -> Reason | None:
        """What the run-time kernel does to this picture, next to what networks are trained with."""
        height, width = self.rgb.shape[:2]
        kernel = self.run_time.kernel
        if self.run_time.geometry != "resize" or (height, width) == self.size or kernel != "bilinear_cv":
            return None
        shrinks = height > self.size[0] or width > self.size[1]
        better: ResizeMethod = "area_cv" if shrinks else "bicubic_cv"
        difference = np.abs(
            resize(self.rgb, self.size, "bilinear_cv").astype(np.float32)
            - resize(self.rgb, self.size, better).astype(np.float32)
        )
        ratio = max(height / self.size[0], width / self.size[1])
        if shrinks:
            text = f"the run stream shrinks {ratio:.3g} times with bilinear_cv, which skips pixels"
            advice = "shrink with INTER_AREA before"
        else:
            text = (
                f"the run stream enlarges {1 / ratio:.3g} times with bilinear_cv, where training uses bicubic"
            )
            advice = "enlarge with bicubic before"
        return Reason("resize kernel", f"{text}; {advice}", *_statistics(difference))


def _with_kernel(op: ProcessOp, kernel: str) -> ProcessOp:
    if not isinstance(op, Resize) or kernel in ("none", "?"):
        return op
    interpolation, library = kernel.split("_")
    changed = {"interpolation": interpolation, "backend": "pillow" if library == "pillow" else "cv2"}
    return Resize.model_validate(op.model_dump(exclude_unset=True) | changed)


def _as_vdsp(normalisation: Normalisation) -> dict[str, Any]:
    kind = "DIV255_MINUSMEAN_DIVSTD" if normalisation.divisor == 255.0 else "MINUSMEAN_DIVSTD"
    mean, std = normalisation.mean or (0.0,), normalisation.std or (1.0,)
    return {"norma_type": kind, "mean": list(mean) * (3 // len(mean)), "std": list(std) * (3 // len(std))}


def _geometry(path: PixelPath) -> str:
    sizes = [f"{height}×{width}" if width > 0 else f"{height}" for height, width in path.sizes]
    if path.geometry == "letterbox":
        return "letterbox"
    return f"{path.geometry} to {', then '.join(sizes)}" if sizes else path.geometry


def _statistics(steps: NDArray[np.float32]) -> tuple[float, float]:
    return round(float(steps.max()), 2), round(float(steps.mean()), 3)
