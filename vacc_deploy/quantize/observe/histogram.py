"""What calibration keeps of a tensor: exact extremes and a histogram of a sample of its values.

The histogram has a fixed number of bins around zero and a width that is a power of two. A value beyond
the last bin doubles the width, merging bins pairwise; so one pass over the pictures is enough, the
result does not depend on their order, and memory stays at tensors × bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import DataError

Array = npt.NDArray[Any]

BINS = 4096  # over [−2048, 2048) widths
_HALF = BINS // 2


@dataclass(slots=True)
class Histogram:
    """Counts of one tensor's values in bins of ``2^exponent``; bin `i` begins at ``(i − 2048)·width``.

    Attributes:
        minimum: Smallest value seen anywhere in the tensor, exact.
        maximum: Largest value, exact.
        exponent: Binary logarithm of the bin width; none until a value other than 0 was seen.
        zeros: Sampled values that are exactly 0 (after a ReLU often half of them); they lie in no bin.
        counts: (BINS,) int64.
        total: Number of sampled values.
    """

    minimum: float = math.inf
    maximum: float = -math.inf
    exponent: int | None = None
    zeros: int = 0
    total: int = 0
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))

    @property
    def width(self) -> float:
        """Width of one bin."""
        return math.ldexp(1.0, self.exponent or 0)

    @property
    def centres(self) -> Array:
        """The middle of every bin, (BINS,) float64."""
        return (np.arange(BINS) - _HALF + 0.5) * self.width

    @property
    def largest_magnitude(self) -> float:
        """Max |x| over everything seen, 0 for an empty tensor."""
        return max(abs(self.minimum), abs(self.maximum)) if self.total else 0.0

    def update(self, minimum: float, maximum: float, sample: Array, name: str) -> None:
        """Take in one picture's values.

        Args:
            minimum: Smallest value of the whole tensor.
            maximum: Largest value of the whole tensor.
            sample: Some or all of its values, 1-D float32.
            name: The tensor, for the error message.

        Raises:
            DataError: The tensor holds NaN or infinity.
        """
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            raise DataError(
                "a tensor is not finite during calibration",
                where=name,
                hint="look for NaN in the weights and the pictures, or for a wrong input range",
            )
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        self.total += sample.size
        self._cover(max(abs(minimum), abs(maximum)))
        if self.exponent is None:
            self.zeros += sample.size
            return
        values = sample[sample != 0]
        self.zeros += sample.size - values.size
        index = np.floor(values * np.float32(1 / self.width)).astype(np.int32) + _HALF
        self.counts += np.bincount(np.clip(index, 0, BINS - 1), minlength=BINS)

    def _cover(self, magnitude: float) -> None:
        if magnitude == 0:
            return
        # frexp: magnitude < 2^e, so bins of 2^(e−11) reach it; never finer than float32 can scale.
        needed = max(math.frexp(magnitude)[1] - (_HALF.bit_length() - 1), -120)
        if self.exponent is None:
            self.exponent = needed
        while self.exponent < needed:
            merged = self.counts.reshape(_HALF, 2).sum(axis=1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[_HALF // 2 : _HALF // 2 + _HALF] = merged
            self.exponent += 1

    def magnitudes(self) -> tuple[Array, Array]:
        """The histogram of |x|: upper edges and counts of the 2048 bins from 0 up, zeros left out."""
        folded = self.counts[_HALF:] + self.counts[_HALF - 1 :: -1]
        return np.arange(1, _HALF + 1) * self.width, folded
