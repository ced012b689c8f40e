"""The SPARNet network (Chen et al., TIP 2020) in the layout of the official PyTorch checkpoint.

An encoder, a body and a decoder of residual blocks.  Every block weighs its own result by a spatial attention
map that a small hourglass computes from it.
"""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import nn
from torch.nn.utils import remove_spectral_norm, spectral_norm

Scale = Literal["none", "down", "up"]
Attention = Literal["spar", "spar3d"]  # one map for all channels, or one per channel
Norm = Literal["batch", "instance"]

_HOURGLASS_CHANNELS = 64
_HOURGLASS_DEPTH = 4  # at half the input size
_LEAK = 0.2


def _normalisation(kind: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=True)


class NormLayer(nn.Module):
    """A normalisation under the name that the official keys use."""

    def __init__(self, kind: Norm, channels: int) -> None:
        super().__init__()
        self.norm = _normalisation(kind, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        normalised: torch.Tensor = self.norm(x)
        return normalised


class ConvLayer(nn.Module):
    """Mirrored 3×3 convolution that may halve or double the size, with optional normalisation and activation.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        scale: ``down`` strides by 2, ``up`` repeats every pixel 2×2 first.
        norm: Normalisation; None gives the convolution a bias instead.
        relu: Whether a leaky ReLU follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale: Scale = "none",
        norm: Norm | None = None,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest") if scale == "up" else nn.Identity()
        self.pad = nn.ReflectionPad2d(1)
        stride = 2 if scale == "down" else 1
        self.conv2d = nn.Conv2d(in_channels, out_channels, 3, stride, bias=norm is None)
        self.norm = NormLayer(norm, out_channels) if norm else nn.Identity()
        self.relu = nn.LeakyReLU(_LEAK) if relu else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H', W')."""
        y: torch.Tensor = self.relu(self.norm(self.conv2d(self.pad(self.enlarge(x)))))
        return y


class Hourglass(nn.Module):
    """Weighs its input by an attention map between 0 and 1.

    Args:
        channels: Channels of the input.
        depth: How often the resolution is halved.
        attention: One map for all channels or one per channel.
        norm: Normalisation.
    """

    def __init__(self, channels: int, depth: int, attention: Attention, norm: Norm) -> None:
        super().__init__()
        self.depth = depth
        middle = _HOURGLASS_CHANNELS
        for level in range(depth, 0, -1):
            source = channels if level == depth else middle
            self.add_module(f"b1_{level}", ConvLayer(source, middle, "none", norm, relu=True))
            self.add_module(f"b2_{level}", ConvLayer(source, middle, "down", norm, relu=True))
        self.b2_plus_1 = ConvLayer(middle, middle, "none", norm, relu=True)
        for level in range(1, depth + 1):
            self.add_module(f"b3_{level}", ConvLayer(middle, middle, "up", norm, relu=True))
        maps = channels if attention == "spar3d" else 1
        self.out_block = nn.Sequential(ConvLayer(middle, maps), nn.Sigmoid())

    def _level(self, level: int, x: torch.Tensor) -> torch.Tensor:
        low = self.get_submodule(f"b2_{level}")(x)
        low = self.b2_plus_1(low) if level == 1 else self._level(level - 1, low)
        joined: torch.Tensor = self.get_submodule(f"b1_{level}")(x) + self.get_submodule(f"b3_{level}")(low)
        return joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        attention: torch.Tensor = self.out_block(self._level(self.depth, x))
        return x * attention


class ResidualBlock(nn.Module):
    """Two convolutions and the attention around a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, scale: Scale, depth: int, attention: Attention, norm: Norm
    ) -> None:
        super().__init__()
        plain = scale == "none" and in_channels == out_channels
        self.shortcut_func = nn.Identity() if plain else ConvLayer(in_channels, out_channels, scale)
        self.preact_func = nn.Sequential(NormLayer(norm, in_channels), nn.LeakyReLU(_LEAK))
        first: Scale = "up" if scale == "up" else "none"
        second: Scale = "down" if scale == "down" else "none"
        self.conv1 = ConvLayer(in_channels, out_channels, first, norm, relu=True)
        self.conv2 = ConvLayer(out_channels, out_channels, second, norm)
        self.att_func = Hourglass(out_channels, depth, attention, norm)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H', W')."""
        refined = self.conv2(self.conv1(self.preact_func(x)))
        y: torch.Tensor = self.shortcut_func(x) + self.att_func(refined)
        return y


class SPARNet(nn.Module):
    """Restores a face that was enlarged by interpolation.

    Args:
        size: Height and width of input and output, pixels.
        max_channels: Width of the body.
        body_size: Height and width of the features in the body.
        body_depth: Number of blocks in the body of a network with three scales; deeper ones have fewer.
        attention: Kind of attention maps.
        norm: Normalisation.
        spectral: Whether every convolution is spectrally normalised (SPARNetHD).
    """

    MIN_CHANNELS = 32

    def __init__(
        self,
        size: int,
        max_channels: int,
        body_size: int,
        body_depth: int,
        attention: Attention,
        norm: Norm = "batch",
        *,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.max_channels = max_channels
        steps = (size // body_size).bit_length() - 1  # halvings
        width = self._clip(max_channels // (steps + 1))
        depth = _HOURGLASS_DEPTH

        self.encoder = nn.Sequential(ConvLayer(3, width))
        for _ in range(steps):
            wider = (self._clip(width), self._clip(width * 2))
            self.encoder.append(ResidualBlock(*wider, "down", depth, attention, norm))
            width, depth = width * 2, depth - 1
        depth += 1
        body = self._clip(width)
        self.res_layers = nn.Sequential(
            *(
                ResidualBlock(body, body, "none", depth, attention, norm)
                for _ in range(body_depth + 3 - steps)
            )
        )
        self.decoder = nn.Sequential()
        for _ in range(steps):
            width, depth = width // 2, depth + 1
            narrower = (self._clip(width * 2), self._clip(width))
            self.decoder.append(ResidualBlock(*narrower, "up", depth, attention, norm))
        self.out_conv = ConvLayer(self._clip(width), 3)
        if spectral:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    with warnings.catch_warnings():  # the newer form has other checkpoint keys
                        warnings.simplefilter("ignore", FutureWarning)
                        spectral_norm(module)

    def _clip(self, channels: int) -> int:
        return max(self.MIN_CHANNELS, min(channels, self.max_channels))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, S, S) in [−1, 1] to the same shape, not clipped."""
        restored: torch.Tensor = self.out_conv(self.decoder(self.res_layers(self.encoder(picture))))
        return restored

    def for_inference(self) -> SPARNet:
        """This network with spectral normalisation folded into the weights."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and hasattr(module, "weight_orig"):
                remove_spectral_norm(module)
        return self.eval().requires_grad_(False)
