"""Signs that a calibration is not to be trusted, found while the pictures stream by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import DataError, ErrorList
from vacc_deploy.quantize.table import TensorEntry

Array = npt.NDArray[Any]
Feed = dict[str, Array]

FEWEST_PICTURES = 4
_FLAT = 1e-6  # spread of a picture that shows nothing
_MOST_CLIPPED = 0.02  # of a tensor's values
_MOST_NAMED = 5


class DataWatch:
    """Passes a data set through and notes what is odd about it; memory: one digest per picture."""

    def __init__(self) -> None:
        self.count = 0
        self._flat: list[int] = []
        self._digests: dict[str, int] = {}
        self._repeated = 0
        self._ranges: dict[str, tuple[float, float]] = {}

    def __call__(self, dataset: Iterable[Feed]) -> Iterator[Feed]:
        """`dataset` itself, watched."""
        for feed in dataset:
            self._look(feed)
            yield feed

    def _look(self, feed: Feed) -> None:
        sha = hashlib.sha256()
        flat = True
        for name in sorted(feed):
            array = np.ascontiguousarray(feed[name])
            sha.update(array.tobytes())
            if array.size == 0:
                continue
            low, high = float(array.min()), float(array.max())
            if array.dtype.kind == "f":  # token numbers have no usual range
                before = self._ranges.get(name, (low, high))
                self._ranges[name] = (min(before[0], low), max(before[1], high))
            flat = flat and high - low < _FLAT
        if flat:
            self._flat.append(self.count)
        self._repeated += sha.hexdigest() in self._digests
        self._digests[sha.hexdigest()] = self.count
        self.count += 1

    def warnings(self) -> list[str]:
        """What was odd, one sentence each."""
        found = []
        if self.count < FEWEST_PICTURES:
            found.append(
                f"only {self.count} calibration picture(s): thresholds may miss what other pictures hold; "
                "20 to 100 pictures of the kind that the network will see are usual"
            )
        if self._repeated:
            found.append(f"{self._repeated} of {self.count} calibration pictures repeat another one")
        if self._flat:
            found.append(
                f"{len(self._flat)} of {self.count} calibration pictures are of one colour (the first is "
                f"number {self._flat[0]}): black or empty input teaches no thresholds"
            )
        for name, (low, high) in sorted(self._ranges.items()):
            if high > 2.5 and low >= 0 and high <= 255.5:
                found.append(
                    f"input {name!r} ranges over [{low:.4g}, {high:.4g}]: that looks like 0…255 where "
                    "networks mostly expect 0…1; check Normalize in the recipe's process_ops (div255)"
                )
            elif low >= 0 and high < 0.02:
                found.append(
                    f"input {name!r} ranges over [{low:.4g}, {high:.4g}]: that looks divided by 255 twice"
                )
        return found


def threshold_warnings(tensors: Mapping[str, TensorEntry]) -> list[str]:
    """Tensors that saturate or never carry anything."""
    found = []
    saturated = sorted(
        (n for n, e in tensors.items() if e.clipped > _MOST_CLIPPED), key=lambda n: -tensors[n].clipped
    )
    for name in saturated[:_MOST_NAMED]:
        entry = tensors[name]
        found.append(
            f"{100 * entry.clipped:.1f} % of {name!r} saturate: {entry.method} keeps "
            f"[{entry.low:.4g}, {entry.high:.4g}] of [{entry.minimum:.4g}, {entry.maximum:.4g}]"
        )
    if len(saturated) > _MOST_NAMED:
        found.append(f"{len(saturated) - _MOST_NAMED} more tensors saturate")
    dead = sorted(n for n, e in tensors.items() if e.minimum == 0 == e.maximum)
    if dead:
        found.append(f"{len(dead)} tensor(s) were 0 throughout calibration, {dead[0]!r} first")
    return found


def raise_if_strict(warnings: Iterable[str], *, strict: bool) -> None:
    """Turn warnings into an error, as ``--strict`` asks.

    Raises:
        ErrorList: There are warnings and `strict` is set.
    """
    errors = [
        DataError(text, hint="fix the calibration data, or compile without --strict") for text in warnings
    ]
    if strict and errors:
        raise ErrorList(errors)
