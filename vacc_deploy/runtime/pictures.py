"""From picture files to a run stream's input, and from its output to pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.color import luma
from vacc_deploy.data.resize import resize
from vacc_deploy.errors import ConfigError, RunError
from vacc_deploy.runtime.vdsp import ColorCvtCode, Image, ImageFormat, OpSettings, OpType, ResizeType, VdspOp
from vacc_deploy.runtime.vdsp.norm_table import NormaType

if TYPE_CHECKING:
    from vacc_deploy.artifact import Manifest
    from vacc_deploy.processing import Postprocess, Preprocess

Pixels = NDArray[np.uint8]

_CHANNELS_OF_A_PICTURE = (1, 3)


def takes_luma(manifest: Manifest) -> bool:
    """Whether the network works on brightness alone: its recipe says so, or it has one input channel."""
    if manifest.preprocess is not None:
        return manifest.preprocess.color == "y"
    shape = manifest.inputs[0].shape
    return len(shape) == 4 and shape[1] == 1


def network_picture(rgb: Pixels, luma_only: bool) -> Image:
    """What the vdsp operator is given for a picture.

    Args:
        rgb: The picture, (H, W, 3).
        luma_only: Give the full-range Y plane three times, as the vendor's scripts do: the card's vdsp only
            handles three channels.
    """
    if luma_only:
        return Image(np.repeat(luma(rgb)[np.newaxis], 3, axis=0), ImageFormat.RGB_PLANAR)
    return Image(np.ascontiguousarray(rgb.transpose(2, 0, 1)), ImageFormat.RGB_PLANAR)


def output_picture(output: NDArray[np.float16], postprocess: Postprocess, source: Pixels) -> Pixels:
    """The picture that a network's output stands for.

    Args:
        output: (1, C, H, W).
        postprocess: Scale, shift and colour of the output.
        source: The input picture (H, W, 3): where the network makes brightness only, its colours are used.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        RunError: The output is no picture.
    """
    if output.ndim != 4 or output.shape[1] not in _CHANNELS_OF_A_PICTURE:
        raise RunError(
            f"an output of shape {list(output.shape)} is no picture",
            hint="write the raw outputs with --npz",
        )
    if not np.isfinite(output).all():
        raise RunError(
            "the network's output holds infinite or undefined values", hint="look at it with --npz"
        )
    values = output[0].astype(np.float32) * np.float32(postprocess.scale) + np.float32(postprocess.shift)
    pixels = np.rint(np.clip(values, 0, 255)).astype(np.uint8).transpose(1, 2, 0)
    if pixels.shape[2] == 1:
        if postprocess.color != "y":
            return np.repeat(pixels, 3, axis=2)
        colours = cv2.cvtColor(resize(source, pixels.shape[:2], "bicubic_cv"), cv2.COLOR_RGB2YCrCb)
        colours[:, :, 0] = pixels[:, :, 0]
        merged: Pixels = cv2.cvtColor(colours, cv2.COLOR_YCrCb2RGB)
        return merged
    return np.ascontiguousarray(pixels[:, :, ::-1] if postprocess.color == "bgr" else pixels)


def vdsp_op_of(preprocess: Preprocess) -> VdspOp:
    """The vdsp operator that does what a recipe says, for runs without a vdsp JSON.

    Raises:
        ConfigError: The recipe divides by a number that the vdsp does not know.
    """
    kinds = {
        (255.0, True): NormaType.DIV255_MINUSMEAN_DIVSTD,
        (255.0, False): NormaType.DIV255,
        (1.0, True): NormaType.MINUSMEAN_DIVSTD,
        (1.0, False): NormaType.EQUAL,
    }
    kind = kinds.get((preprocess.divisor, bool(preprocess.mean)))
    if kind is None:
        raise ConfigError(
            f"the vdsp cannot divide by {preprocess.divisor:g}", hint="give the vdsp JSON with --vdsp_params"
        )
    return VdspOp(
        OpType.FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR,
        OpSettings(
            resize_type=ResizeType[preprocess.resize.upper()],
            mean=preprocess.mean,
            std=preprocess.std,
            norma_type=kind,
            color_cvt_code=ColorCvtCode.RGB2BGR if preprocess.color == "bgr" else ColorCvtCode.NO_CHANGE,
        ),
    )
