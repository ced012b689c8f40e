"""The recipe's GPEN run as its authors' code runs it: weights modulated in the graph, filters as upfirdn2d.

Same parameters, same function, other operators. Files traced from this form are what users hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from vacc_deploy.export.gpen_network import (
    Blur,
    EqualLinear,
    FusedLeakyReLU,
    Generator,
    ModulatedConv2d,
    Upsample,
)

Filter = Callable[[torch.Tensor, torch.Tensor, int, tuple[int, int]], torch.Tensor]
Network = TypeVar("Network", bound=nn.Module)


def channels_last_filter(
    x: torch.Tensor, kernel: torch.Tensor, up: int, pad: tuple[int, int]
) -> torch.Tensor:
    """Zeros between pixels, padding, filter; pixels move in front of the channels, as GPEN's code has it."""
    _, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).view(-1, height, 1, width, 1, channels)
    x = F.pad(x, [0, 0, 0, up - 1, 0, 0, 0, up - 1]).view(-1, height * up, width * up, channels)
    x = F.pad(x, [0, 0, *pad, *pad])
    x = x[:, 0 : x.shape[1], 0 : x.shape[2], :].permute(0, 3, 1, 2)
    x = x.reshape([-1, 1, height * up + sum(pad), width * up + sum(pad)])
    x = F.conv2d(x, torch.flip(kernel, [0, 1]).view(1, 1, *kernel.shape))
    return x.reshape(-1, channels, x.shape[2], x.shape[3])


def channel_batch_filter(
    x: torch.Tensor, kernel: torch.Tensor, up: int, pad: tuple[int, int]
) -> torch.Tensor:
    """The same; every channel is a picture of its own from the start, as most StyleGAN2 code has it."""
    _, channels, height, width = x.shape
    x = x.reshape(-1, height, 1, width, 1, 1)
    x = F.pad(x, [0, 0, 0, up - 1, 0, 0, 0, up - 1]).view(-1, height * up, width * up, 1)
    x = F.pad(x, [0, 0, *pad, *pad])
    x = x[:, 0 : x.shape[1], 0 : x.shape[2], :].permute(0, 3, 1, 2)
    x = x.reshape([-1, 1, height * up + sum(pad), width * up + sum(pad)])
    x = F.conv2d(x, torch.flip(kernel, [0, 1]).view(1, 1, *kernel.shape))
    x = x.reshape(-1, 1, x.shape[2], x.shape[3]).permute(0, 2, 3, 1)
    return x.reshape(-1, channels, x.shape[1], x.shape[2])


FILTERS: dict[str, Filter] = {"channels-last": channels_last_filter, "channel-batch": channel_batch_filter}


class OfficialLinear(EqualLinear):
    """Activation and bias outside the matrix product where there is an activation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.activate:
            y = F.linear(x, self.weight * self.scale) + (self.bias * self.rate).view(1, -1)
            return F.leaky_relu(y, 0.2) * 2**0.5
        return F.linear(x, self.weight * self.scale, bias=self.bias * self.rate)


class OfficialActivation(FusedLeakyReLU):
    """Bias reshaped for any rank."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(x + self.bias.view((1, -1, *(1,) * (len(x.shape) - 2))), 0.2) * 2**0.5


class OfficialBlur(Blur):
    """The blur through upfirdn2d."""

    filter: Filter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.filter(x, self.kernel, 1, (self.padding, self.padding))


class OfficialUpsample(Upsample):
    """The enlargement through upfirdn2d."""

    filter: Filter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.filter(x, self.kernel, 2, (2, 1))


class OfficialModulatedConv2d(ModulatedConv2d):
    """One weight per picture, computed from its style; pictures are groups of one convolution."""

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        out_channels, kernel = self.weight.shape[1], self.weight.shape[-1]
        weight = self.scale * self.weight * self.modulation(style).view(batch, 1, channels, 1, 1)
        if self.demodulate:
            inverse_norm = torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8)
            weight = weight * inverse_norm.view(batch, out_channels, 1, 1, 1)
        weight = weight.view(batch * out_channels, channels, kernel, kernel)
        x = x.view(1, batch * channels, height, width)
        if not self.upsample:
            y = F.conv2d(x, weight, padding=self.padding, groups=batch)
            return y.view(batch, out_channels, y.shape[2], y.shape[3])
        weight = weight.view(batch, out_channels, channels, kernel, kernel).transpose(1, 2)
        weight = weight.reshape(batch * channels, out_channels, kernel, kernel)
        y = F.conv_transpose2d(x, weight, padding=0, stride=2, groups=batch)
        enlarged: torch.Tensor = self.blur(y.view(batch, out_channels, y.shape[2], y.shape[3]))
        return enlarged


class OfficialGenerator(Generator):
    """The style is copied once per layer, the constant input once per picture."""

    def forward(self, style: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
        layers = 2 * len(noise)
        latent = self.style(style).unsqueeze(1).repeat(1, layers, 1)
        x = self.conv1(self.input.input.repeat(latent.shape[0], 1, 1, 1), latent[:, 0], noise[0])
        picture: torch.Tensor = self.to_rgb1(x, latent[:, 1])
        for index, (to_rgb, features) in enumerate(zip(self.to_rgbs, noise[1:], strict=True)):
            x = self.convs[2 * index](x, latent[:, 2 * index + 1], features)
            x = self.convs[2 * index + 1](x, latent[:, 2 * index + 2], features)
            picture = to_rgb(x, latent[:, 2 * index + 3], picture)
        return picture


_FORMS: dict[type[nn.Module], type[nn.Module]] = {
    EqualLinear: OfficialLinear,
    FusedLeakyReLU: OfficialActivation,
    Blur: OfficialBlur,
    Upsample: OfficialUpsample,
    ModulatedConv2d: OfficialModulatedConv2d,
    Generator: OfficialGenerator,
}


def official_form(network: Network, upfirdn: Filter) -> Network:
    """A GPEN, or a part of one, in place, with the forwards above."""
    for module in network.modules():
        if type(module) in _FORMS:
            module.__class__ = _FORMS[type(module)]
        if isinstance(module, OfficialBlur | OfficialUpsample):
            module.filter = upfirdn
    return network.eval().requires_grad_(False)
