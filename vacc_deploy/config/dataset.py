"""The ``dataset`` section: which pictures or arrays calibrate the network."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from vacc_deploy.config.process_ops import ProcessOp
from vacc_deploy.config.section import Int, Section, Text


def _suffix(value: Any) -> Any:
    """``jpg``, ``.JPG`` and ``*.jpg`` are one ending; an empty one is none."""
    return value.lower().lstrip("*").lstrip(".") or None if isinstance(value, str) else value


def _count(value: Any) -> Any:
    """``-1`` and ``all`` mean every file."""
    return None if value in (-1, "all", "ALL") and value is not True else value


class SamplerConfig(Section):
    """``dataset.sampler``."""

    suffix: Annotated[Text | None, BeforeValidator(_suffix)] = None
    get_data_num: Annotated[Annotated[Int, Field(ge=1)] | None, BeforeValidator(_count)] = None


class DatasetConfig(Section):
    """``dataset``.

    Attributes:
        folder: The folder of pictures or npz files, or a datalist, as the file writes it.
        process_ops: What happens to each picture; empty for npz samples.
    """

    type: Literal["tvm", "huggingface"] = "tvm"
    folder: Annotated[Text, AfterValidator(posixpath.normpath)] | None = Field(default=None, alias="path")
    sampler: SamplerConfig = SamplerConfig()
    process_ops: tuple[ProcessOp, ...] = ()

    # Texts that calibrate a language model; its front end is refused, so they mean nothing here.
    name: Text | None = None
    nsamples: Int | None = None
    seqlen: Int | None = None

    @property
    def path(self) -> Path | None:
        """The folder of pictures or npz files, or a datalist."""
        return None if self.folder is None else Path(self.folder)

    @property
    def suffix(self) -> str | None:
        """The files' ending in lower case without a dot; None means every file."""
        return self.sampler.suffix

    @property
    def count(self) -> int | None:
        """How many files to use; None means all."""
        return self.sampler.get_data_num
