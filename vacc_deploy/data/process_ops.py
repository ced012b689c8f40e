"""The build YAML's process_ops: a picture file's pixels become the network's calibration input.

A picture travels as H×W×C, RGB, uint8 until Normalize makes it float32; ToTensor ends the way.  Each entry
is a record with a ``type`` and that type's parameters; `Pipeline` reads them once and refuses what it
cannot do before the first picture is touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.process_steps import STEP_FACTORIES, Step, read_backend, read_size
from vacc_deploy.errors import ConfigError, DataError


class Pipeline:
    """process_ops bound to a network input.

    Args:
        ops: Mappings with a ``type`` key, or config records that know their ``type``.
        input_shape: The network input (N, C, H, W); None leaves the result's shape unchecked.

    Raises:
        ConfigError: An entry is unknown, incomplete or cannot be done.
    """

    def __init__(self, ops: Sequence[Any], input_shape: Sequence[int] | None) -> None:
        self._input_shape = tuple(input_shape) if input_shape is not None else None
        self._steps: list[tuple[str, Step]] = []
        self.decoder: Literal["opencv", "pillow"] = "opencv"  # which library opens the file
        frame = 0  # size[0] of the latest Resize: the side of Pad's square
        for position, op in enumerate(ops):
            kind, parameters = _read(op)
            where = f"process_ops[{position}] {kind}"
            if kind not in STEP_FACTORIES:
                raise ConfigError(
                    f"unknown process op '{kind}'",
                    where=where,
                    hint=f"one of {', '.join(sorted(STEP_FACTORIES))}",
                )
            if kind == "Resize":
                frame = read_size(parameters.get("size"), where)[0]
            if kind == "DecodeImage" and read_backend(parameters) == "pillow":
                self.decoder = "pillow"
            self._steps.append((where, STEP_FACTORIES[kind](parameters, frame, where)))

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn an RGB uint8 H×W×3 picture into a float32 (1, C, H, W) tensor.

        Raises:
            DataError: The result holds NaN or infinity, or does not have the network's shape.
            ConfigError: A step does not fit the picture that reaches it.
        """
        image: NDArray[Any] = rgb
        for where, step in self._steps:
            image = _apply(step, image, where)
        tensor = np.ascontiguousarray(image.transpose(2, 0, 1)[np.newaxis], np.float32)
        self._check(tensor)
        return tensor

    def _check(self, tensor: NDArray[np.float32]) -> None:
        expected = self._input_shape
        if expected is not None and tensor.shape[1:] != expected[1:]:
            made, taken = _shape(tensor.shape[1:]), _shape(expected[1:])
            raise DataError(
                f"process_ops make a tensor of {made}, the network takes {taken}",
                hint=_shape_hint(tensor.shape, expected),
            )
        if not np.isfinite(tensor).all():
            raise DataError(
                "process_ops make NaN or infinite values", hint="look at Normalize's mean and std"
            )


def apply_process_ops(
    rgb: NDArray[np.uint8], ops: Sequence[Any], input_shape: Sequence[int] | None
) -> NDArray[np.float32]:
    """`Pipeline` for one picture: RGB uint8 H×W×3 in, float32 (1, C, H, W) out."""
    return Pipeline(ops, input_shape)(rgb)


def _apply(step: Step, image: NDArray[Any], where: str) -> NDArray[Any]:
    try:
        return step(image)
    except ConfigError as error:
        raise ConfigError(error.what, where=error.where or where, why=error.why, hint=error.hint) from error


def _read(op: Any) -> tuple[str, dict[str, Any]]:
    """An entry's type and the parameters that the file really gives (a default is not a given value)."""
    fields = dict(op) if isinstance(op, Mapping) else {"type": op.type, **op.model_dump(exclude_unset=True)}
    return str(fields.pop("type", None)), fields


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _shape_hint(actual: Sequence[int], expected: Sequence[int]) -> str:
    if actual[1] == expected[1]:
        return f"set the last Resize or CenterCrop to [{expected[2]}, {expected[3]}] (height, width)"
    if expected[1] == 1:
        return "add CvtColor COLOR_RGB2YCrCb and ChannelSplit index 0, or DecodeImage cv2_flags: 0"
    return f"the pictures reach the network with {actual[1]} channel(s) where it takes {expected[1]}"
