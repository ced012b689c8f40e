"""The ``frontend`` section: which model, in which format, with which inputs."""

from __future__ import annotations

import posixpath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_serializer, field_validator
from pydantic_core import PydanticCustomError

from vacc_deploy.config.section import Bool, Int, Section, Text

FrontendType = Literal["onnx", "pytorch", "huggingface", "keras", "tensorflow", "darknet"]

# A checkpoint's ending → the front end it is for, where the file does not say (15 files of the zoo).
TYPE_BY_SUFFIX: dict[str, FrontendType] = {
    ".onnx": "onnx", ".pt": "pytorch", ".pth": "pytorch", ".torchscript": "pytorch",
    ".h5": "keras", ".keras": "keras", ".pb": "tensorflow", ".weights": "darknet",
}  # fmt: skip

# Front ends that parse and are then refused, and what to do instead.
CONVERSIONS: dict[str, str] = {
    "huggingface": "language models are beyond this tool; a single network can be exported with "
    "'optimum-cli export onnx' and given with type: onnx",
    "keras": "convert it with 'python -m tf2onnx.convert --keras model.h5 --output model.onnx', "
    "then type: onnx",
    "tensorflow": "convert it with 'python -m tf2onnx.convert --graphdef model.pb --inputs … --outputs … "
    "--output model.onnx', then type: onnx",
    "darknet": "convert the .cfg and .weights to ONNX (for YOLOv4: demo_darknet2onnx.py of pytorch-YOLOv4), "
    "then type: onnx",
}

_MAX_RANK = 8
_MAX_SIDE = 1 << 20


def _dimensions(value: Any, *, may_be_empty: bool = False) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or (not value and not may_be_empty) or len(value) > _MAX_RANK:
        raise PydanticCustomError("shape", "must be a list of 1 to 8 numbers, such as [1, 3, 256, 256]")
    for side in value:
        if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= _MAX_SIDE:
            raise PydanticCustomError(
                "shape",
                "must hold whole numbers from 1 on, not {side}: every dimension is fixed",
                {"side": repr(side)},
            )
    return tuple(value)


def _shapes(value: Any) -> Any:
    """One shape, or a list of shapes: [smallest, largest] of a dynamic model, lengths of a language model."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, (list, tuple)) for item in value):
        shapes = tuple(_dimensions(item, may_be_empty=True) for item in value)
        if not shapes[0]:
            raise PydanticCustomError("shape", "must begin with a shape, not with an empty list")
        return shapes
    return (_dimensions(value),)


Shapes = Annotated[tuple[tuple[int, ...], ...], BeforeValidator(_shapes)]
CheckpointPath = Annotated[Text, AfterValidator(posixpath.normpath)]


class ModelArguments(Section):
    """``frontend.model_kwargs`` of language models."""

    tp: Int | None = None
    model_arch: Text | None = None
    b2s: Bool | None = None
    build_visual: Bool | None = None
    align_qkv: Bool | None = None


class WeightQuantization(Section):
    """``frontend.quantize`` of language models."""

    type: Text
    device: Text | None = None
    calib_args: dict[str, Any] | None = None


class FrontendConfig(Section):
    """``frontend``.

    Attributes:
        type: The checkpoint's format; from its ending where the file does not say.
        checkpoint: The model file, relative to the working directory.
        dtype: Element type of the source model's inputs, not of the computation.
        shape: Input name → its shape, or several for dynamic and language models.
    """

    type: FrontendType
    checkpoint: CheckpointPath
    dtype: Literal["fp32", "fp16", "int32", "int64"] = "fp32"
    shape: Annotated[dict[str, Shapes], Field(min_length=1)]
    model_arguments: ModelArguments | None = Field(default=None, alias="model_kwargs")
    quantize: WeightQuantization | None = None

    @field_validator("shape", mode="before")
    @classmethod
    def _names_are_text(cls, value: Any) -> Any:
        return {str(name): shape for name, shape in value.items()} if isinstance(value, dict) else value

    @field_serializer("shape")
    def _single_shapes_are_flat(self, shape: dict[str, Any]) -> dict[str, Any]:
        return {name: shapes[0] if len(shapes) == 1 else shapes for name, shapes in shape.items()}

    @property
    def is_dynamic(self) -> bool:
        """Whether some input has several shapes."""
        return any(len(shapes) > 1 for shapes in self.shape.values())

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Input name → the shape to compile: of a dynamic model the largest, which comes last."""
        return {
            name: next(shape for shape in reversed(shapes) if shape) for name, shapes in self.shape.items()
        }
