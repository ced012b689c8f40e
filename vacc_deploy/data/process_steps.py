"""One process op at a time: what each entry of a build YAML's process_ops does to a picture.

A factory reads an entry's parameters and returns the step: H×W×C in, H×W×C out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data import letterbox
from vacc_deploy.data.color import COLOR_CODES, convert_color
from vacc_deploy.data.normalize import normalization
from vacc_deploy.data.resize import ResizeMethod, resize
from vacc_deploy.errors import ConfigError

Step: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]

_INTERPOLATIONS: dict[tuple[str, str], ResizeMethod] = {
    ("cv2", "nearest"): "nearest",
    ("cv2", "bilinear"): "bilinear_cv",
    ("cv2", "linear"): "bilinear_cv",
    ("cv2", "bicubic"): "bicubic_cv",
    ("cv2", "cubic"): "bicubic_cv",
    ("cv2", "area"): "area_cv",
    ("pillow", "nearest"): "nearest_pillow",
    ("pillow", "bilinear"): "bilinear_pillow",
    ("pillow", "bicubic"): "bicubic_pillow",
}
_GRAYSCALE_FLAG = 0  # cv2.IMREAD_GRAYSCALE
_COLOR_FLAG = 1


def read_backend(parameters: Mapping[str, Any]) -> str:
    """The pixel library that an entry names: ``cv2`` where it names none, ``pillow``."""
    backend = str(parameters.get("backend") or "cv2").lower()
    return {"opencv": "cv2", "pil": "pillow"}.get(backend, backend)


def _decode(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    flags = parameters.get("cv2_flags", _COLOR_FLAG)
    if flags not in (_GRAYSCALE_FLAG, _COLOR_FLAG, None):
        raise ConfigError(
            f"cv2_flags {flags} is not supported", where=where, hint="0 reads gray, 1 reads colour"
        )
    if flags == _GRAYSCALE_FLAG and flags is not None:
        return lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]
    return lambda rgb: rgb


def _resize(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    backend = read_backend(parameters)
    interpolation = str(parameters.get("interpolation") or "bilinear").lower()
    method = _INTERPOLATIONS.get((backend, interpolation))
    if method is None:
        known = ", ".join(f"{b}/{i}" for b, i in _INTERPOLATIONS)
        raise ConfigError(f"no resize '{backend}/{interpolation}'", where=where, hint=f"one of {known}")
    size = read_size(parameters.get("size"), where)
    side = parameters.get("adaptive_side")
    if side is None:
        if min(size) < 1:
            raise ConfigError(
                f"Resize size {list(size)} leaves a side open",
                where=where,
                hint="give [height, width], or add adaptive_side: long",
            )
        return lambda image: resize(image, size, method)
    if side not in ("long", "short"):
        raise ConfigError(f"adaptive_side '{side}' is not known", where=where, hint="long or short")
    return _adaptive_resize(size[0], max if side == "long" else min, method)


def _adaptive_resize(side: int, choose: Callable[[int, int], int], method: ResizeMethod) -> Step:
    def step(image: NDArray[Any]) -> NDArray[Any]:
        height, width = image.shape[:2]
        ratio = side / choose(height, width)
        return resize(image, (max(1, round(height * ratio)), max(1, round(width * ratio))), method)

    return step


def _pad(parameters: Mapping[str, Any], frame: int, where: str) -> Step:
    if not parameters.get("pad_to_square"):
        raise ConfigError("Pad is only known with pad_to_square: true", where=where)

    def step(image: NDArray[Any]) -> NDArray[Any]:
        height, width = image.shape[:2]
        side = max(frame, height, width)
        return letterbox.pad(image, letterbox.centre(height, width, (side, side)), (letterbox.PADDING_VALUE,))

    return step


def _center_crop(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    height, width = read_size(parameters.get("crop_size"), where, name="crop_size")

    def step(image: NDArray[Any]) -> NDArray[Any]:
        top, left = (
            (image.shape[0] - height) // 2,
            (image.shape[1] - width) // 2,
        )  # rounded down, as the card crops
        if top < 0 or left < 0:
            raise ConfigError(
                f"cannot crop {height}×{width} out of a picture of {image.shape[0]}×{image.shape[1]}"
            )
        return image[top : top + height, left : left + width]

    return step


def _cvt_color(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    code = str(parameters.get("code"))
    if code not in COLOR_CODES:
        raise ConfigError(
            f"unknown colour conversion '{code}'", where=where, hint=f"one of {', '.join(COLOR_CODES)}"
        )
    return lambda image: convert_color(image, code)


def _channel_split(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    index = parameters.get("index", 0)
    if not isinstance(index, int) or index < 0:
        raise ConfigError(f"ChannelSplit index {index!r} is not a channel number", where=where)

    def step(image: NDArray[Any]) -> NDArray[Any]:
        if index >= image.shape[2]:
            raise ConfigError(f"ChannelSplit index {index}, the picture has {image.shape[2]} channel(s)")
        return image[:, :, index : index + 1]

    return step


def _normalize(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    given = {name: parameters[name] for name in ("mean", "std", "div255") if name in parameters}
    try:
        return normalization(**given)
    except ConfigError as error:
        raise ConfigError(error.what, where=where, hint=error.hint) from error


def _to_tensor(_parameters: Mapping[str, Any], _frame: int, _where: str) -> Step:
    return lambda image: (
        image
    )  # the axes turn after the last step; unlike torchvision's, it divides by nothing


def _custom_func(parameters: Mapping[str, Any], _frame: int, where: str) -> Step:
    raise ConfigError(
        f"CustomFunc would run '{parameters.get('func_name')}' of '{parameters.get('module_path')}'",
        where=where,
        why="a build YAML is data: compiling it never executes Python code that it names",
        hint="run your function yourself, save its arrays as npz files, and give that folder as the dataset",
    )


# The parameters, the side of Pad's square (size[0] of the latest Resize), and where the entry stands.
STEP_FACTORIES: dict[str, Callable[[Mapping[str, Any], int, str], Step]] = {
    "DecodeImage": _decode,
    "Resize": _resize,
    "Pad": _pad,
    "CenterCrop": _center_crop,
    "CvtColor": _cvt_color,
    "ChannelSplit": _channel_split,
    "Normalize": _normalize,
    "ToTensor": _to_tensor,
    "CustomFunc": _custom_func,
}


def read_size(value: Any, where: str, name: str = "size") -> tuple[int, int]:
    """[height, width]; one number means both."""
    sides = [value, value] if isinstance(value, int) else list(value) if isinstance(value, Sequence) else []
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides) or sides[0] < 1:
        raise ConfigError(f"{name} {value!r} is not [height, width]", where=where)
    return sides[0], sides[1]
