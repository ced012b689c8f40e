"""`vsx.Operator` and `vsx.BuildInOperator`: the vdsp's operators, their attributes open to scripts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ConfigError, RunError
from vacc_deploy.runtime.vdsp import ImageFormat, OpType, VdspOp
from vacc_deploy.runtime.vdsp.settings import snake_case
from vacc_deploy.vsx.enums import AttrKey, ImageColorSpace, ImagePaddingType, TypeFlag
from vacc_deploy.vsx.image import Image
from vacc_deploy.vsx.layout_884 import is_tiled_shape, tile
from vacc_deploy.vsx.tensor import DTYPES, Tensor

ImageInfo = tuple[ImageFormat, int, int]  # format, width, height
TensorInfo = tuple[Sequence[int], TypeFlag]

# Attributes that scripts set by enumeration and files write as words.
_NAMED_VALUES: dict[str, dict[int, str]] = {
    "COLOR_SPACE": {ImageColorSpace.COLOR_SPACE_BT601: "BT601", ImageColorSpace.COLOR_SPACE_BT709: "BT709"},
    "EDGE_PADDING_TYPE": {ImagePaddingType.PADDING_TYPE_CONSTANT: "CONSTANT"},
}


class Operator:
    """A vdsp operator.

    Attributes set on it act on every picture submitted afterwards, also when it is part of a stream already.

    Args:
        op_type: Which operator.
    """

    def __init__(self, op_type: OpType | int) -> None:
        self._attributes: dict[str, Any] = {}
        self._vdsp = VdspOp(OpType(op_type))

    @classmethod
    def load_ops_from_json_file(cls, path: str | Path) -> list[Operator]:
        """The operators of a vdsp JSON, of the new or the old format; warns of what is doubtful in it.

        Raises:
            VdeployError: The file cannot be read, or an operator or value in it is unknown.
        """
        from vacc_deploy.config import load_vdsp_params

        operators = load_vdsp_params(Path(path))
        for params in operators:
            for remark in params.warnings:
                warnings.warn(remark.line, stacklevel=2)
        return [cls._configured(params.op_type, params.config) for params in operators]

    @classmethod
    def _configured(cls, op_type: str, config: Mapping[str, Any]) -> Operator:
        op = VdspOp.from_config(op_type, config)
        operator = cls(op.op_type)
        operator._vdsp = op
        for key, value in config.items():
            name = snake_case(key)
            operator._attributes[name.upper()] = _plain(getattr(op.settings, name, value))
        return operator

    @property
    def op_type(self) -> OpType:
        """Which operator; from 100 on it is a fusion operator, which puts out a tensor."""
        return self._vdsp.op_type

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes that the file or the script gave, by name (``"IIMAGE_FORMAT"``)."""
        return dict(self._attributes)

    def cast_to_buildin_operator(self) -> Operator:
        """The operator itself: all operators here are built in."""
        return self

    def get_attribute(self, key: AttrKey, index: int = 0) -> Any:
        """One attribute as a number.

        Args:
            key: Which one.
            index: Which entry of an attribute that is a list.

        Raises:
            ConfigError: The operator has no such attribute.
        """
        name = attribute_name(key)
        value = self._attributes.get(name)
        if value is None:
            value = _plain(getattr(self._vdsp.settings, name.lower(), None))
        if value is None:
            raise ConfigError(
                f"{self.op_type.name} has no attribute {name}",
                hint=f"it has {', '.join(self._attributes) or 'none'}; set it with set_attribute",
            )
        return value[index] if isinstance(value, (list, tuple)) else value

    def set_attribute(self, attributes: Mapping[AttrKey, Any]) -> int:
        """Set attributes; lists are for operators with several outputs or crops.

        Raises:
            ConfigError: A value is of the wrong kind.
        """
        values = {attribute_name(key): _plain(value) for key, value in attributes.items()}
        self._attributes.update(values)
        self._vdsp.settings = self._vdsp.settings.override(
            {name.lower(): _single(name, value) for name, value in values.items()}
        )
        return 0

    def snapshot(self) -> VdspOp:
        """The operator with the attributes of this moment."""
        return VdspOp(self._vdsp.op_type, self._vdsp.settings)

    def execute(
        self,
        images: Sequence[Image] | None = None,
        output_info: Sequence[ImageInfo | TensorInfo] = (),
        *,
        tensors: Sequence[Image] | None = None,
    ) -> list[Any]:
        """Run the operator by itself.

        Args:
            images: Pictures.
            output_info: Per output (format, width, height) for images, or (shape, type) for tensors. A tensor
                shape of five axes asks for the card's 8×8×4 tiles.
            tensors: The keyword that some scripts give their pictures by.

        Returns:
            One image or tensor per output.

        Raises:
            RunError: The pictures do not fit the operator.
        """
        pictures = list(images if images is not None else tensors or ())
        if not self.op_type.is_fusion:
            return [made for image in pictures for made in self._run_single(image, output_info)]
        infos: list[Any] = list(output_info) or [None] * len(pictures)
        return [self._run_fusion(image, info) for image, info in zip(pictures, infos, strict=False)]

    run_sync = execute

    def _run_single(self, image: Image, output_info: Sequence[Any]) -> list[Image]:
        op = self.snapshot()
        outputs = [(ImageFormat(form), int(width), int(height)) for form, width, height in output_info]
        settings = op.settings
        if op.op_type == OpType.SINGLE_OP_COPY_MAKE_BORDER and settings.resize_width is None:
            # The script names the frame and the borders: what lies between them is the resized picture.
            width, height = outputs[0][1:] if outputs else (settings.oimage_width, settings.oimage_height)
            if width is not None and height is not None:
                inner = {
                    "resize_width": width - settings.edge_left - settings.edge_right,
                    "resize_height": height - settings.edge_top - settings.edge_bottom,
                }
                op.settings = settings.override(inner)
        return [Image(made, image.device_id) for made in op.run_images(image.picture, outputs)]

    def _run_fusion(self, image: Image, info: Any) -> Image | Tensor:
        op = self.snapshot()
        if info is not None and len(info) == 3:  # the tensor's bytes as an image of twice the width
            form, width, height = ImageFormat(info[0]), int(info[1]) // 2, int(info[2])
            tensor = op.run(image.picture, input_shape=(1, 3, height, width))
            return Image(type(image.picture)(tensor.view(np.uint8), form), image.device_id)
        shape = tuple(info[0]) if info is not None else None
        if shape is not None and is_tiled_shape(shape):
            tensor = op.run(image.picture, input_shape=(1, 3, shape[2] * 8, shape[1] * 8))
            return Tensor(tile(tensor[np.newaxis]), image.device_id)
        array: npt.NDArray[Any] = op.run(image.picture, input_shape=shape)
        if info is not None:
            array = array.astype(DTYPES[TypeFlag(info[1])], copy=False).reshape(info[0])
        return Tensor(array, image.device_id)


class BuildInOperator(Operator):
    """An operator that a script makes by its type and configures by attributes."""


def attribute_name(key: AttrKey | str) -> str:
    """``"IIMAGE_FORMAT"`` for the key or its name."""
    return key.name if isinstance(key, AttrKey) else str(key)


def _plain(value: Any) -> Any:
    """Enumeration members as the ints that scripts compare with."""
    if isinstance(value, IntEnum):
        return int(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _single(name: str, value: Any) -> Any:
    if name in _NAMED_VALUES and isinstance(value, int):
        return _NAMED_VALUES[name].get(value, value)
    # SINGLE_OP_SCALE lists one size per output; `execute` takes them from output_info.
    if name.startswith("OIMAGE_") and isinstance(value, list):
        if not value:
            raise RunError(f"{name} is an empty list")
        return value[0]
    return value
