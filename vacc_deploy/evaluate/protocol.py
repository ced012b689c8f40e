"""What an evaluation protocol is: how a test picture is fed, and how an output is scored.

A protocol never sees the model, so the same code scores a float ONNX file and an artifact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import ConfigError
from vacc_deploy.evaluate.pairing import Pair
from vacc_deploy.processing import Postprocess, Preprocess


@dataclass(frozen=True, slots=True)
class Sample:
    """One test picture, ready: the network's float32 (1, C, H, W) input, and the ground truth."""

    network_input: NDArray[np.float32]
    target: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Score:
    """PSNR in dB and SSIM of one picture."""

    psnr_db: float
    ssim: float


class EvaluationProtocol(ABC):
    """One published way of scoring a model.

    Args:
        preprocess: The recipe's; only the generic protocol looks at it.
        postprocess: The recipe's; likewise.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for --help and the documentation
    low_resolution: ClassVar[Literal["needed", "optional", "made"]] = "needed"  # "made": always from the HR
    scale: ClassVar[int | None] = None  # leave out pictures marked with another scale
    native_size: ClassVar[bool] = False  # feeds pictures as large as they are
    default_size: ClassVar[tuple[int, int] | None] = None  # (height, width) for models that take any

    def __init__(self, preprocess: Preprocess | None = None, postprocess: Postprocess | None = None) -> None:
        self.preprocess = preprocess
        self.postprocess = postprocess

    @abstractmethod
    def load(self, pair: Pair, size: tuple[int, int] | None) -> Sample:
        """Read a test picture.

        Args:
            pair: Its files.
            size: (height, width) of the network's input; None where it takes any.
        """

    def select(self, outputs: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The one network output (N×C×H×W) that is the picture."""
        return outputs[0]

    @abstractmethod
    def to_picture(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output (C×H×W) on the scale 0 … 255, as H×W×C RGB or H×W, neither clipped nor rounded.

        Fidelity is measured here, where rounding cannot hide a difference.
        """

    @abstractmethod
    def score(self, picture: NDArray[np.float32], sample: Sample) -> Score:
        """Clip, round and compare as the protocol prescribes."""


# A family's plain name means the protocol of its published figure.
ALIASES = {"vdsr": "vdsr_vamp", "lesrcnn": "lesrcnn_official", "gpen_colorization": "gpen_color"}

_PROTOCOLS: dict[str, type[EvaluationProtocol]] = {}
_P = TypeVar("_P", bound=type[EvaluationProtocol])


def protocol(name: str, summary: str) -> Callable[[_P], _P]:
    """Class decorator: register a protocol under a name.

    Raises:
        ValueError: The name is taken.
    """

    def register(cls: _P) -> _P:
        if name in _PROTOCOLS:
            raise ValueError(f"protocol '{name}' is registered twice")
        cls.name, cls.summary = name, summary
        _PROTOCOLS[name] = cls
        return cls

    return register


def protocols() -> dict[str, str]:
    """Every protocol's name and one-line summary, sorted by name."""
    import vacc_deploy.evaluate.protocols  # noqa: F401  (registers them)

    return {name: _PROTOCOLS[name].summary for name in sorted(_PROTOCOLS)}


def get_protocol(
    name: str, preprocess: Preprocess | None = None, postprocess: Postprocess | None = None
) -> EvaluationProtocol:
    """The protocol of that name.

    Args:
        name: One of `protocols()`, or a family's plain name (`ALIASES`).
        preprocess: How the model's recipe makes its input.
        postprocess: How the model's recipe reads its output.

    Raises:
        ConfigError: There is no such protocol.
    """
    known = protocols()
    full_name = ALIASES.get(name, name)
    if full_name not in known:
        raise ConfigError(f"unknown evaluation protocol '{name}'", hint=f"one of {', '.join(known)}")
    return _PROTOCOLS[full_name](preprocess, postprocess)


def recipe_protocol(recipe: Mapping[str, Any], name: str | None = None) -> EvaluationProtocol:
    """The protocol that a model's recipe states, with the recipe's own processing.

    Args:
        recipe: What `vdeploy export` wrote into the model; may be empty.
        name: A protocol to use instead of the recipe's.

    Returns:
        The generic ``rgb`` protocol where neither names one.

    Raises:
        ConfigError: There is no protocol of that name.
    """
    preprocess, postprocess = recipe.get("preprocess"), recipe.get("postprocess")
    return get_protocol(
        str(name or recipe.get("protocol") or "rgb"),
        Preprocess.from_json(preprocess) if preprocess else None,
        Postprocess.from_json(postprocess) if postprocess else None,
    )


def clip_round(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The nearest 8-bit picture."""
    return np.rint(np.clip(picture, 0.0, 255.0)).astype(np.uint8)


def clip_truncate(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The 8-bit picture of ``astype(uint8)`` without rounding, as several of the vendor's scripts do it."""
    return np.clip(picture, 0.0, 255.0).astype(np.uint8)


def to_network(
    picture: NDArray[Any], divisor: float, mean: float = 0.0, std: float = 1.0
) -> NDArray[np.float32]:
    """H×W or H×W×C pixels to a float32 (1, C, H, W) input: ``(x / divisor − mean) / std`` in float32."""
    values = picture.astype(np.float32) / np.float32(divisor)
    if mean != 0.0 or std != 1.0:
        values = (values - np.float32(mean)) / np.float32(std)
    planes = values[np.newaxis] if values.ndim == 2 else values.transpose(2, 0, 1)
    return np.ascontiguousarray(planes[np.newaxis], np.float32)


def to_pixels(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """C×H×W to H×W×C, or to H×W where there is one channel."""
    return output[0] if output.shape[0] == 1 else output.transpose(1, 2, 0)
