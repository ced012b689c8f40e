"""The calibrators by name, as the build YAML's `calibrate_mode` spells them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from vacc_deploy.errors import ConfigError
from vacc_deploy.quantize.observe.histogram import Histogram

Scheme = Literal["symmetric", "asymmetric"]


class Range(NamedTuple):
    """Values outside [low, high] are clipped; low ≤ 0 ≤ high."""

    low: float
    high: float

    @property
    def unsigned(self) -> bool:
        """Whether codes need no sign: nothing lies below 0."""
        return self.low == 0 < self.high


class Calibrator(Protocol):
    """A rule that turns a histogram into a clipping range."""

    def __call__(self, histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
        """The range for `histogram`.

        Args:
            histogram: What calibration saw of the tensor.
            scheme: ``symmetric`` asks for low = −high.
            parameter: The rule's own setting, none for its default.
        """


CALIBRATORS: dict[str, Calibrator] = {}


def calibrator(name: str) -> Callable[[Calibrator], Calibrator]:
    """Register a calibrator under `name`."""

    def register(rule: Calibrator) -> Calibrator:
        if name in CALIBRATORS:
            raise ValueError(f"calibrator {name!r} is registered twice")
        CALIBRATORS[name] = rule
        return rule

    return register


def choose_range(mode: str, histogram: Histogram, scheme: Scheme, parameter: float | None = None) -> Range:
    """The clipping range that calibrator `mode` chooses.

    Raises:
        ConfigError: There is no such calibrator.
    """
    rule = CALIBRATORS.get(mode)
    if rule is None:
        raise ConfigError(
            f"there is no calibrator {mode!r}", hint=f"one of: {', '.join(sorted(CALIBRATORS))}"
        )
    return rule(histogram, scheme, parameter)
