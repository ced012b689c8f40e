"""VDSR (Kim, Lee and Lee, CVPR 2016): twenty 3×3 convolutions predict what bicubic enlargement lost.

One checkpoint serves every scale: the picture is enlarged by bicubic interpolation first, the network
sharpens its luma at final size, and any height and width will do.
"""

from __future__ import annotations

import torch
from torch import nn

from vacc_deploy.export.recipe import BuildSettings, Recipe
from vacc_deploy.export.registry import register
from vacc_deploy.processing import Postprocess, Preprocess


class ConvRelu(nn.Module):
    """A 3×3 convolution and ReLU; a module of its own because the official keys say ``….conv.weight``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        return torch.relu(self.conv(x))


class VDSR(nn.Module):
    """Sharpens the luma of a picture that already has its final size.

    Args:
        depth: Number of convolutions, first and last included.
        channels: Width of the hidden layers.
    """

    def __init__(self, depth: int = 20, channels: int = 64) -> None:
        super().__init__()
        self.residual_layer = nn.Sequential(*(ConvRelu(channels) for _ in range(depth - 2)))
        self.input = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.output = nn.Conv2d(channels, 1, 3, padding=1, bias=False)

    def forward(self, luma: torch.Tensor) -> torch.Tensor:
        """Map luma (N, 1, H, W) in [0, 1] to sharpened luma of the same shape, not clipped."""
        features = torch.relu(self.input(luma))
        residual: torch.Tensor = self.output(self.residual_layer(features))
        return residual + luma


register(
    Recipe(
        name="vdsr",
        title="VDSR: sharpens bicubic enlargements, luma, any size and scale",
        build=VDSR,
        input_shape=(1, 1, 256, 256),
        size_step=1,
        preprocess=Preprocess(size=(256, 256), color="y"),
        postprocess=Postprocess(color="y"),
        protocol="vdsr",
        paper="Kim, Lee, Lee: Image Super-Resolution Using Very Deep Convolutional Networks, CVPR 2016",
        licence="official weights (twtygqyy/pytorch-vdsr): MIT; the demo weights are this project's own",
        demo_weights="vdsr_demo.safetensors",
        settings=BuildSettings(
            config="official_vdsr",
            vdsp="official-vdsr",
            dataset="/path/to/sr/Set5_BMP/scale_4",
            suffix="bmp",
            count=5,
        ),
    )
)
