"""LESRCNN (Tian et al., 2020): a light super-resolution network that enlarges inside, by pixel shuffle.

Variants x2, x3 and x4 have one checkpoint each; the blind b_x2, b_x3 and b_x4 share one checkpoint that
holds three enlargement blocks, of which each export keeps one.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import nn

from vacc_deploy.export.recipe import BuildSettings, Recipe
from vacc_deploy.export.registry import register
from vacc_deploy.processing import Postprocess, Preprocess

Scale = Literal[2, 3, 4]

_CHANNELS = 64
_DEPTH = 17  # convolutions 2 to 17 alternate 3×3 and 1×1
_DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # RGB mean of the training set


class MeanShift(nn.Module):
    """Adds `sign` times the training set's mean colour; a fixed 1×1 convolution in the official layout."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.shifter = nn.Conv2d(3, 3, 1)
        self.shifter.weight.data.copy_(torch.eye(3).view(3, 3, 1, 1))
        self.shifter.bias = nn.Parameter(torch.tensor(_DIV2K_MEAN) * sign)
        self.shifter.requires_grad_(False)  # the official network freezes it

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) to the same shape."""
        shifted: torch.Tensor = self.shifter(x)
        return shifted


class Enlarge(nn.Module):
    """Convolutions and pixel shuffles: ×2 and ×3 in one step, ×4 in two steps of ×2."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for factor in (2, 2) if scale == 4 else (scale,):
            layers += [nn.Conv2d(_CHANNELS, _CHANNELS * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
        self.body = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, H·scale, W·scale)."""
        enlarged: torch.Tensor = self.body(x)
        return enlarged


class EnlargeBlock(nn.Module):
    """Holds the enlargement of one scale under ``up``, or of all three under ``up2``, ``up3`` and ``up4``."""

    def __init__(self, scale: Scale, *, blind: bool) -> None:
        super().__init__()
        self.chosen = f"up{scale}" if blind else "up"
        scales: dict[str, Scale] = {"up2": 2, "up3": 3, "up4": 4} if blind else {"up": scale}
        for name, factor in scales.items():
            self.add_module(name, Enlarge(factor))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, H·scale, W·scale)."""
        enlarged: torch.Tensor = self.get_submodule(self.chosen)(x)
        return enlarged


def _conv(in_channels: int, out_channels: int, kernel: int, *, relu: bool) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.ReLU()) if relu else nn.Sequential(conv)


class LESRCNN(nn.Module):
    """Enlarges an RGB picture.

    Args:
        scale: Enlargement factor.
        blind: Use the layout of the checkpoint that serves all three scales.
    """

    def __init__(self, scale: Scale, *, blind: bool = False) -> None:
        super().__init__()
        self.sub_mean = MeanShift(-1.0)
        self.add_mean = MeanShift(1.0)
        self.conv1 = _conv(3, _CHANNELS, 3, relu=False)
        for index in range(2, _DEPTH + 1):
            spatial = index % 2 == 0
            self.add_module(f"conv{index}", _conv(_CHANNELS, _CHANNELS, 3 if spatial else 1, relu=spatial))
        for index in range(1, 5):
            self.add_module(f"conv17_{index}", _conv(_CHANNELS, _CHANNELS, 3, relu=True))
        self.conv18 = _conv(_CHANNELS, 3, 3, relu=False)
        self.upsample = EnlargeBlock(scale, blind=blind)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Map RGB (N, 3, H, W) in [0, 1] to (N, 3, H·scale, W·scale), not clipped."""
        shallow = torch.relu(self.conv1(self.sub_mean(picture)))
        deep = shallow
        for index in range(2, _DEPTH, 2):
            step = self.get_submodule(f"conv{index + 1}")(self.get_submodule(f"conv{index}")(deep))
            deep = torch.relu(deep + step)
        features = torch.relu(self.upsample(deep) + self.upsample(shallow))
        for index in range(1, 5):
            features = self.get_submodule(f"conv17_{index}")(features)
        enlarged: torch.Tensor = self.add_mean(self.conv18(features))
        return enlarged


_GAINS = {r"conv(3|5|7|9|11|13|15|17)\.0\.weight": 0.4}


def _register(scale: Scale, *, blind: bool, gains: dict[str, float], settings: BuildSettings | None) -> None:
    register(
        Recipe(
            name="lesrcnn",
            variant=f"b_x{scale}" if blind else f"x{scale}",
            title=f"LESRCNN: enlarges RGB pictures {scale} times" + (", blind checkpoint" if blind else ""),
            build=partial(LESRCNN, scale, blind=blind),
            input_shape=(1, 3, 128, 128),
            size_step=1,
            preprocess=Preprocess(size=(128, 128)),
            postprocess=Postprocess(),
            protocol="lesrcnn",
            paper="Tian et al.: Lightweight image super-resolution with enhanced CNN, 2020",
            licence="official weights (hellloxiaotian/LESRCNN): no licence stated",
            seeded_gains=gains | _GAINS,
            settings=settings,
        )
    )


def _settings(scale: Scale) -> BuildSettings:
    return BuildSettings(
        config="official_lesrcnn" if scale == 2 else f"official_lesrcnn_x{scale}",
        vdsp=f"official-lesrcnn_x{scale}",
        dataset=f"/path/to/DIV2K/DIV2K_valid_LR_bicubic/X{scale}/",
    )


_SCALES: tuple[Scale, ...] = (2, 3, 4)
for _scale in _SCALES:
    _own = {r"conv18\.0\.weight": 0.25}
    if _scale == 4:
        _own = {r"conv18\.0\.weight": 0.4, r"upsample\..*weight": 0.7}
    _register(_scale, blind=False, gains=_own, settings=_settings(_scale))
for _scale in _SCALES:
    _shared = {r"conv18\.0\.weight": 0.25, r"upsample\.up4\..*weight": 0.95}
    _register(_scale, blind=True, gains=_shared, settings=None)
