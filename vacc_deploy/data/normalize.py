"""The vendor's Normalize: what div255, norm_type, mean and std mean together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Normalization:
    """``(x / divisor − mean) / std`` in float32; empty `mean` and `std` leave the second part out."""

    divisor: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise an H×W×C picture; one mean serves every channel, else there is one per channel.

        Raises:
            ConfigError: The number of means and of channels disagree.
        """
        channels = image.shape[2]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, channels):
                raise ConfigError(
                    f"Normalize has {len(values)} values of {name}, the picture has {channels} channel(s)",
                    hint="give one value, or one per channel at this point of process_ops",
                )
        result: NDArray[np.float32] = image.astype(np.float32)
        if self.divisor != 1.0:
            result /= np.float32(self.divisor)
        if self.mean:
            result -= np.asarray(self.mean, np.float32)
        if self.std:
            result /= np.asarray(self.std, np.float32)
        return result


_UNSET = object()


def normalization(
    *,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    div255: Any = _UNSET,
) -> Normalization:
    """The meaning of one Normalize entry of process_ops.

    div255 defaults to true; an explicit null counts as false (scrfd: mean 127.5, std 128).  ``norm_type``
    null or "None" only ever occurs without mean and std, where there is nothing left for it to say.

    Raises:
        ConfigError: Only one of mean and std is given, or a std is 0.
    """
    means, stds = _values(mean), _values(std)
    if bool(means) != bool(stds):
        raise ConfigError("Normalize needs both mean and std, or neither")
    if 0.0 in stds:
        raise ConfigError(
            "Normalize has a std of 0", hint="give the divisor of each channel; 1 leaves it as it is"
        )
    return Normalization(255.0 if div255 is _UNSET or div255 else 1.0, means, stds)


def _values(value: Sequence[float] | float | None) -> tuple[float, ...]:
    if value is None:
        return ()
    if isinstance(value, (int, float)):
        return (float(value),)
    return tuple(float(item) for item in value)
