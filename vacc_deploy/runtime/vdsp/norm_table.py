"""Normalisation as a table: 256 pixel values, 256 half-precision results, per channel.

A pixel is 8 bits and the tensor is fp16, so the whole of ``(x / 255 − mean) / std`` and its rounding is one
look-up, and exact by construction.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import ConfigError


class NormaType(Enum):
    """NormaType of a vdsp JSON: (divisor, subtract 1, use mean and std)."""

    DIV255_MINUSMEAN_DIVSTD = (255.0, 0.0, True)
    DIV255 = (255.0, 0.0, False)
    MINUSMEAN_DIVSTD = (1.0, 0.0, True)
    EQUAL = (1.0, 0.0, False)
    DIV1275_MINUSONE = (127.5, 1.0, False)

    @classmethod
    def parse(cls, name: str) -> NormaType:
        """The normalisation of that name; ValueError where there is none."""
        if isinstance(name, cls):
            return name
        if name not in cls.__members__:
            raise ValueError(f"one of {', '.join(cls.__members__)}")
        return cls[name]

    @property
    def uses_mean_std(self) -> bool:
        """Whether Mean and Std count; most files carry left-over values that do not."""
        return bool(self.value[2])


@lru_cache(maxsize=64)
def norm_table(
    kind: NormaType, mean: tuple[float, ...], std: tuple[float, ...], channel: int
) -> NDArray[np.uint16]:
    """The bit patterns of the 256 fp16 results of one channel, shape (256,).

    Mean and std are rounded to fp16 first, because the card stores them so; the arithmetic is float32.

    Raises:
        ConfigError: The normalisation needs a mean and std that are missing, or a std is 0 in fp16.
    """
    divisor, minus, _ = kind.value
    values = np.arange(256, dtype=np.float32) / np.float32(divisor) - np.float32(minus)
    if kind.uses_mean_std:
        values = (values - _half(mean, "Mean", kind, channel)) / _std(std, kind, channel)
    table = values.astype(np.float16).view(np.uint16)
    table.setflags(write=False)  # the cache hands the same array to everyone
    return table


def _half(values: tuple[float, ...], name: str, kind: NormaType, channel: int) -> np.float32:
    if not values or (len(values) > 1 and channel >= len(values)):
        raise ConfigError(f"{kind.name} needs {name} for channel {channel}, the file gives {list(values)}")
    return np.float32(np.float16(values[0 if len(values) == 1 else channel]))


def _std(std: tuple[float, ...], kind: NormaType, channel: int) -> np.float32:
    value = _half(std, "Std", kind, channel)
    if value == 0.0:
        raise ConfigError(f"Std of channel {channel} is 0 in fp16, and {kind.name} divides by it")
    return value
