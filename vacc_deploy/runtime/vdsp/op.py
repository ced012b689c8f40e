"""A vdsp operator ready to run: what a vdsp JSON describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import RunError
from vacc_deploy.runtime.vdsp.fusion import ExtGeometry, run_fusion
from vacc_deploy.runtime.vdsp.image import Image
from vacc_deploy.runtime.vdsp.op_type import OpType
from vacc_deploy.runtime.vdsp.settings import OpSettings
from vacc_deploy.runtime.vdsp.single import Output, run_single

if TYPE_CHECKING:  # reading files needs pydantic, running an op does not
    from vacc_deploy.config.vdsp import VdspParams

EXT_PARAMETER = "rgb_letterbox_ext"


class VdspOp:
    """One vdsp operator and its settings.

    `settings` may be replaced between calls (vaststreamx's ``set_attribute``); a call reads it once, so
    changing it while other threads run is safe.

    Args:
        op_type: The operator.
        settings: Its configuration.
    """

    def __init__(self, op_type: OpType, settings: OpSettings | None = None) -> None:
        self.op_type = op_type
        self.settings = settings if settings is not None else OpSettings()

    @classmethod
    def from_config(cls, op_type: str, config: Mapping[str, Any] | None = None) -> VdspOp:
        """The operator of an ``OpType`` and ``OpConfig`` pair.

        Raises:
            ConfigError: The op or one of its values is unknown.
        """
        return cls(OpType.parse(op_type), OpSettings.from_config(config or {}))

    @classmethod
    def from_params(cls, params: VdspParams) -> VdspOp:
        """The operator that a vdsp JSON describes, read by `vacc_deploy.config.load_vdsp_params`.

        Raises:
            ConfigError: The op or one of its values cannot be carried out.
        """
        return cls.from_config(params.op_type, params.config)

    def run(
        self, image: Image, *, input_shape: Sequence[int] | None = None, **overrides: Any
    ) -> NDArray[np.float16]:
        """Turn a picture into a network input.

        Args:
            image: The picture, of any size.
            input_shape: The network input (N, C, H, W); it decides over OimageWidth and OimageHeight, and
                one channel means plane 0 alone.  LETTERBOX_EXT keeps its own size.
            **overrides: Settings for this call by snake-case name (``resize_width=320``), or
                ``rgb_letterbox_ext=(resize_w, resize_h, top, bottom, left, right)``.

        Returns:
            float16 (C, H, W).

        Raises:
            RunError: The op makes pictures, not tensors, or the picture does not fit.
        """
        if not self.op_type.is_fusion:
            raise RunError(
                f"{self.op_type.name} makes no image tensor", hint="use a FUSION_OP_* before a model"
            )
        ext = overrides.pop(EXT_PARAMETER, None)
        settings = self.settings.override(overrides)
        channels = 3 if input_shape is None else int(input_shape[-3])
        size = None if input_shape is None else (int(input_shape[-2]), int(input_shape[-1]))
        geometry = None if ext is None else _ext_geometry(ext)
        return run_fusion(self.op_type, settings, image, channels=channels, size=size, ext=geometry)

    def run_images(self, image: Image, outputs: Sequence[Output] | None = None) -> list[Image]:
        """Run a SINGLE_OP; see `run_single`.

        Raises:
            RunError: The op is not a SINGLE_OP.
        """
        if self.op_type.is_fusion or self.op_type == OpType.BERT_EMBEDDING_OP:
            raise RunError(f"{self.op_type.name} makes tensors, not pictures")
        return run_single(self.op_type, self.settings, image, outputs)

    def run_tensors(self, tensors: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Pass tensors on (BERT_EMBEDDING_OP: the embedding is part of the network).

        Raises:
            RunError: The op wants pictures.
        """
        if self.op_type != OpType.BERT_EMBEDDING_OP:
            raise RunError(f"{self.op_type.name} takes pictures, not tensors", hint="give image files")
        return list(tensors)


def _ext_geometry(value: Any) -> ExtGeometry:
    """One (resize_w, resize_h, top, bottom, left, right); a list of one such tuple counts too."""
    if len(value) == 1:
        value = value[0]
    if len(value) != 6:
        raise RunError(f"{EXT_PARAMETER} is (resize_w, resize_h, top, bottom, left, right), not {value}")
    width, height, top, bottom, left, right = (int(item) for item in value)
    return width, height, top, bottom, left, right
