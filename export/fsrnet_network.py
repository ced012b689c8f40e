"""The FSRNet network (Chen et al., CVPR 2018) in the layout of the official PyTorch checkpoint.

Four parts: a coarse super-resolution network, an encoder of its result, an hourglass network that estimates
face parsing maps from the same result, and a decoder that paints the fine picture from both.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

Norm = Literal["batch", "running"]

_PARSING_MAPS = 11


def _conv_norm_relu(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


def _padded_conv(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 3×3 convolution over mirrored borders, which avoid the dark rim that zeros would paint."""
    return [nn.ReflectionPad2d(1), nn.Conv2d(in_channels, out_channels, 3, bias=False)]


class ResBlock(nn.Module):
    """Two mirrored 3×3 convolutions with normalisation around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_padded_conv(channels, channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            *_padded_conv(channels, channels),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        refined: torch.Tensor = self.layers(x)
        return refined + x


def _shared_blocks(channels: int, count: int) -> nn.Sequential:
    """`count` passes through one and the same block, as the published network has it."""
    return nn.Sequential(*[ResBlock(channels)] * count)


class Bottleneck(nn.Module):
    """Normalise-activate-convolve three times (1×1, 3×3, 1×1) around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        middle = out_channels // 2
        self.convBlock = nn.Sequential(
            nn.BatchNorm2d(in_channels), nn.ReLU(), nn.Conv2d(in_channels, middle, 1),
            nn.BatchNorm2d(middle), nn.ReLU(), nn.Conv2d(middle, middle, 3, padding=1),
            nn.BatchNorm2d(middle), nn.ReLU(), nn.Conv2d(middle, out_channels, 1),
        )  # fmt: skip
        if in_channels != out_channels:
            self.skipConv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H, W)."""
        shortcut: torch.Tensor = self.skipConv(x) if hasattr(self, "skipConv") else x
        refined: torch.Tensor = self.convBlock(x)
        return refined + shortcut


class Hourglass(nn.Module):
    """Halves the resolution three times and comes back, adding each scale's shortcut on the way up."""

    LEVELS = (3, 2, 1)

    def __init__(self, channels: int) -> None:
        super().__init__()
        for level in self.LEVELS:
            self.add_module(f"res{level}_1", Bottleneck(channels, channels))
            self.add_module(f"pool{level}_1", nn.MaxPool2d(2))
            self.add_module(f"res{level}_2", Bottleneck(channels, channels))
        self.res_center = Bottleneck(channels, channels)
        for level in reversed(self.LEVELS):
            self.add_module(f"res{level}_3", Bottleneck(channels, channels))
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def _level(self, level: int, x: torch.Tensor) -> torch.Tensor:
        if level == 0:
            centre: torch.Tensor = self.res_center(x)
            return centre
        shortcut: torch.Tensor = self.get_submodule(f"res{level}_1")(x)
        low = self.get_submodule(f"res{level}_2")(self.get_submodule(f"pool{level}_1")(x))
        low = self.get_submodule(f"res{level}_3")(self._level(level - 1, low))
        joined: torch.Tensor = shortcut + self.upsample(low)
        return joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape; H and W are multiples of 8."""
        return self._level(self.LEVELS[0], x)


class CoarseNetwork(nn.Module):
    """First guess of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*_padded_conv(3, 64), nn.BatchNorm2d(64), nn.ReLU())
        self.res_blocks = _shared_blocks(64, 3)
        self.conv2 = nn.Sequential(*_padded_conv(64, 3), nn.Tanh())

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) to the same shape in [−1, 1]."""
        coarse: torch.Tensor = self.conv2(self.res_blocks(self.conv1(picture)))
        return coarse


class Encoder(nn.Module):
    """Features of the coarse picture at half size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_norm_relu(3, 64, 3, 2)
        self.res_blocks = _shared_blocks(64, 12)
        self.conv2 = nn.Sequential(*_padded_conv(64, 64), nn.Tanh())

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) to (N, 64, H/2, W/2)."""
        features: torch.Tensor = self.conv2(self.res_blocks(self.conv1(coarse)))
        return features


class PriorNetwork(nn.Module):
    """Features that know where eyes, nose and mouth are, at half size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_norm_relu(3, 64, 7, 2)
        self.res_blocks = nn.Sequential(Bottleneck(64, 128), ResBlock(128), ResBlock(128))
        self.hg_blocks = nn.Sequential(Hourglass(128), Hourglass(128))

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) to (N, 128, H/2, W/2)."""
        features: torch.Tensor = self.hg_blocks(self.res_blocks(self.conv1(coarse)))
        return features


class Decoder(nn.Module):
    """Paints the fine picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_norm_relu(128 + 64, 64, 3, 1)
        self.deconv1 = nn.Sequential(
            nn.ConvTranspose2d(64, 64, 3, 2, 1, output_padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.res_blocks = _shared_blocks(64, 3)
        self.conv2 = nn.Sequential(*_padded_conv(64, 3), nn.Tanh())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (N, 192, H/2, W/2) to (N, 3, H, W) in [−1, 1]."""
        fine: torch.Tensor = self.conv2(self.res_blocks(self.deconv1(self.conv1(features))))
        return fine


class FSRNet(nn.Module):
    """Restores a face that was shrunk eightfold.

    Args:
        norm: What normalises: ``running`` uses the checkpoint's running statistics, ``batch`` those of the
            picture at hand, as the published figures do.
    """

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        self.csr_net = CoarseNetwork()
        self.fsr_enc = Encoder()
        self.pre_net = PriorNetwork()
        self.fsr_dec = Decoder()
        self.prior_conv2 = nn.Conv2d(128, _PARSING_MAPS, 1)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map (N, 3, H, W) in [−1, 1] to the coarse picture, half-size parsing maps and the fine one."""
        coarse = self.csr_net(picture)
        prior = self.pre_net(coarse)
        fine = self.fsr_dec(torch.cat((self.fsr_enc(coarse), prior), 1))
        return coarse, self.prior_conv2(prior), fine

    def for_inference(self) -> FSRNet:
        """This network, normalising as `norm` says; batch statistics of one picture are InstanceNorm."""
        if self.norm == "batch":
            for module in list(self.modules()):
                for name, child in list(module.named_children()):
                    if isinstance(child, nn.BatchNorm2d):
                        setattr(module, name, _instance_norm(child))
        return self.eval().requires_grad_(False)


def _instance_norm(norm: nn.BatchNorm2d) -> nn.InstanceNorm2d:
    instance = nn.InstanceNorm2d(norm.num_features, norm.eps, affine=True)
    instance.weight, instance.bias = norm.weight, norm.bias
    return instance
