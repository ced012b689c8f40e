"""The GPEN network (Yang et al., CVPR 2021) in the official checkpoint's layout, with static convolutions.

An encoder turns the picture into a style vector and a feature map per scale; a StyleGAN2 generator paints
from the style, with the encoder's maps in the place of noise.  StyleGAN2 modulates the *weights* of every
convolution by the style: w'[o,i] = d[o]·s[i]·w[o,i], d[o] = 1/√(Σ (s[i]·w[o,i])² + ε).  A convolution is
linear, so scaling its input channels by s and its output channels by d is the same, and leaves one constant
weight that can be packed and quantised once:

    conv(x; d·s·w) = d · conv(s·x; w),     d = 1/√(s²·Eᵀ + ε),     E[o,i] = Σ_k w[o,i,k]²
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

_STYLE = 512
_STYLE_LAYERS = 8
_STYLE_RATE = 0.01  # learning-rate multiplier of the style layers, baked into their weights
_SLOPE = 0.2
_SQRT2 = math.sqrt(2.0)
_EPSILON = 1e-8


def _channels(size: int, multiplier: int, narrow: float) -> int:
    """Width of the features at one scale; `size` in pixels."""
    full = 512 if size <= 32 else 16384 // size * multiplier
    return int(full * narrow)


def _blur_kernel(gain: float) -> torch.Tensor:
    """The 4×4 binomial filter, (4, 4), summing to `gain`."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(line, line) / 64.0 * gain


class EqualLinear(nn.Module):
    """A fully connected layer whose weights are stored divided by what initialisation would multiply by.

    Args:
        in_features: Features in.
        out_features: Features out.
        rate: Learning-rate multiplier.
        activate: Whether a scaled leaky ReLU follows.
        modulation: Whether the layer yields channel scales, whose biases start at one.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rate: float = 1.0,
        *,
        activate: bool = False,
        modulation: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / rate)
        self.bias = nn.Parameter(torch.full((out_features,), float(modulation)))
        self.seeded_kinds = {"weight": "raw", "bias": "near_one" if modulation else "bias"}
        self.scale = rate / math.sqrt(in_features)
        self.rate = rate
        self.activate = activate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, F_in) to (N, F_out)."""
        y = F.linear(x, self.weight * self.scale, self.bias * self.rate)
        return F.leaky_relu(y, _SLOPE) * _SQRT2 if self.activate else y

    def folded(self) -> nn.Module:
        """The same function with all constants in the weights."""
        gain = _SQRT2 if self.activate else 1.0  # a leaky ReLU passes positive factors through
        linear = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        linear.weight = nn.Parameter(self.weight * (self.scale * gain))
        linear.bias = nn.Parameter(self.bias * (self.rate * gain))
        return nn.Sequential(linear, nn.LeakyReLU(_SLOPE)) if self.activate else linear


class EqualConv2d(nn.Module):
    """A convolution without bias, stored like `EqualLinear`."""

    seeded_kinds: ClassVar[dict[str, str]] = {"weight": "raw"}

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.scale = 1.0 / math.sqrt(in_channels * kernel**2)
        self.stride, self.padding = stride, padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H', W')."""
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class Blur(nn.Module):
    """Filters every channel with the binomial kernel.

    Args:
        padding: Zeros on every side.
        gain: Sum of the kernel: 4 makes up for the zeros that doubling the size puts between pixels.
    """

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", _blur_kernel(gain))
        self.kernel: torch.Tensor
        self.padding = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, H + 2·padding − 3, W + 2·padding − 3)."""
        channels = int(x.shape[1])
        weight = self.kernel.expand(channels, 1, 4, 4)
        return F.conv2d(x, weight, padding=self.padding, groups=channels)


class Upsample(nn.Module):
    """Doubles height and width with the binomial kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", _blur_kernel(4.0))
        self.kernel: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to (N, C, 2H, 2W)."""
        channels = int(x.shape[1])
        weight = self.kernel.expand(channels, 1, 4, 4)
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


class FusedLeakyReLU(nn.Module):
    """Adds a bias, applies a leaky ReLU and multiplies by √2, which keeps the variance."""

    seeded_kinds: ClassVar[dict[str, str]] = {"bias": "bias"}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, C, H, W) to the same shape."""
        return F.leaky_relu(x + self.bias.view(1, -1, 1, 1), _SLOPE) * _SQRT2


class EncoderLayer(nn.Sequential):
    """A convolution with activation that may halve the size, blurring first."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, halve: bool) -> None:
        conv = EqualConv2d(in_channels, out_channels, kernel, *((2, 0) if halve else (1, kernel // 2)))
        super().__init__(*([Blur(2)] if halve else []), conv, FusedLeakyReLU(out_channels))

    def folded(self) -> nn.Module:
        """The same function as plain convolutions."""
        *blur, equal, activate = self
        assert isinstance(equal, EqualConv2d)
        assert isinstance(activate, FusedLeakyReLU)
        out_channels, in_channels, kernel, _ = equal.weight.shape
        conv = nn.Conv2d(in_channels, out_channels, kernel, equal.stride, equal.padding)
        conv.weight = nn.Parameter(equal.weight * (equal.scale * _SQRT2))
        conv.bias = nn.Parameter(activate.bias * _SQRT2)
        return nn.Sequential(*blur, conv, nn.LeakyReLU(_SLOPE))


class ModulatedConv2d(nn.Module):
    """A convolution whose channels a style scales, going in and coming out; see the module's docstring.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel: Kernel size.
        demodulate: Whether outputs are scaled back to unit variance.
        upsample: Whether height and width double.
    """

    seeded_kinds: ClassVar[dict[str, str]] = {"weight": "raw"}

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, demodulate: bool, upsample: bool
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, out_channels, in_channels, kernel, kernel))
        if upsample:
            self.blur = Blur(1, gain=4.0)
        self.modulation = EqualLinear(_STYLE, in_channels, modulation=True)
        self.scale = 1.0 / math.sqrt(in_channels * kernel**2)
        self.demodulate, self.upsample, self.padding = demodulate, upsample, kernel // 2

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) and styles (N, 512) to (N, C_out, H', W')."""
        y: torch.Tensor = self.folded()(x, style)
        return y

    def folded(self, gain: float = 1.0, bias: torch.Tensor | None = None) -> StaticModulatedConv:
        """The same function, times `gain` and plus `bias`, with a constant weight."""
        return StaticModulatedConv(self, gain, bias)


class StaticModulatedConv(nn.Module):
    """`ModulatedConv2d` with everything constant computed.

    Args:
        source: Where the weights come from.
        gain: Factor of the output.
        bias: Added to the output, (C_out,); None adds nothing.
    """

    def __init__(self, source: ModulatedConv2d, gain: float, bias: torch.Tensor | None) -> None:
        super().__init__()
        weight = source.weight[0] * source.scale
        self.modulation = source.modulation.folded()
        self.upsample, self.padding, self.gain = source.upsample, source.padding, gain
        self.energy = nn.Parameter(weight.square().sum((2, 3)).t()) if source.demodulate else None
        self.bias = None if bias is None else nn.Parameter(bias)
        if not source.demodulate:
            weight = weight * gain
        self.weight = nn.Parameter(weight.transpose(0, 1) if source.upsample else weight)
        if source.upsample:
            self.blur = source.blur

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W) and styles (N, 512) to (N, C_out, H', W')."""
        scale: torch.Tensor = self.modulation(style)
        x = x * scale[:, :, None, None]
        if self.energy is None:
            return F.conv2d(x, self.weight, self.bias, padding=self.padding)
        y: torch.Tensor
        if self.upsample:
            y = self.blur(F.conv_transpose2d(x, self.weight, stride=2))
        else:
            y = F.conv2d(x, self.weight, padding=self.padding)
        demodulation = torch.rsqrt(torch.mm(scale.square(), self.energy) + _EPSILON)
        if self.gain != 1.0:
            demodulation = demodulation * self.gain
        y = y * demodulation[:, :, None, None]
        return y if self.bias is None else y + self.bias.view(1, -1, 1, 1)


class NoiseInjection(nn.Module):
    """Appends the encoder's features, scaled by a learned factor, as further channels."""

    seeded_kinds: ClassVar[dict[str, str]] = {"weight": "near_half"}

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Map two (N, C, H, W) to (N, 2C, H, W)."""
        return torch.cat((image, self.weight * noise), 1)


class StyledConv(nn.Module):
    """A modulated 3×3 convolution, noise and activation."""

    def __init__(self, in_channels: int, out_channels: int, *, upsample: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, demodulate=True, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(2 * out_channels)

    def forward(self, x: torch.Tensor, style: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Map (N, C_in, H, W), styles and (N, C_out, H', W') noise to (N, 2·C_out, H', W')."""
        activated: torch.Tensor = self.activate(self.noise(self.conv(x, style), noise))
        return activated

    def folded(self) -> nn.Module:
        """The same function with √2 in the constants, each half activated before they are joined."""
        return StaticStyledConv(self)


class StaticStyledConv(nn.Module):
    """`StyledConv` with everything constant computed."""

    def __init__(self, source: StyledConv) -> None:
        super().__init__()
        image_bias, noise_bias = (source.activate.bias * _SQRT2).chunk(2)
        self.conv = source.conv.folded(_SQRT2, image_bias)
        channels = noise_bias.numel()
        self.noise = nn.Conv2d(channels, channels, 1, groups=channels)  # scale and shift per channel
        self.noise.weight = nn.Parameter((source.noise.weight * _SQRT2).expand(channels, 1, 1, 1).clone())
        self.noise.bias = nn.Parameter(noise_bias)

    def forward(self, x: torch.Tensor, style: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """As `StyledConv.forward`."""
        image = F.leaky_relu(self.conv(x, style), _SLOPE)
        return torch.cat((image, F.leaky_relu(self.noise(noise), _SLOPE)), 1)


class ToRGB(nn.Module):
    """Adds this scale's colours to the enlarged picture of the scale before."""

    seeded_kinds: ClassVar[dict[str, str]] = {"bias": "bias"}

    def __init__(self, in_channels: int, *, first: bool) -> None:
        super().__init__()
        if not first:
            self.upsample = Upsample()
        self.conv = ModulatedConv2d(in_channels, 3, 1, demodulate=False, upsample=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(
        self, x: torch.Tensor, style: torch.Tensor, picture: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (N, C, H, W), styles and the (N, 3, H/2, W/2) picture so far to (N, 3, H, W)."""
        colours: torch.Tensor = self.conv(x, style)
        if self.bias is not None:
            colours = colours + self.bias
        return colours if picture is None else colours + self.upsample(picture)

    def fold(self) -> None:
        """Move the bias into the convolution."""
        self.conv = self.conv.folded(bias=self.bias.flatten())  # type: ignore[assignment]
        del self.bias
        self.bias = None  # type: ignore[assignment]


class PixelNorm(nn.Module):
    """Scales a vector to unit mean square."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (N, F) to the same shape."""
        return x * torch.rsqrt(torch.mean(x.square(), 1, keepdim=True) + _EPSILON)


class ConstantInput(nn.Module):
    """The learned picture that painting starts from, (1, C, 4, 4)."""

    seeded_kinds: ClassVar[dict[str, str]] = {"input": "raw"}

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class Generator(nn.Module):
    """Paints a picture from a style and one noise map per layer."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.style = nn.Sequential(
            PixelNorm(),
            *(EqualLinear(_STYLE, _STYLE, _STYLE_RATE, activate=True) for _ in range(_STYLE_LAYERS)),
        )
        self.input = ConstantInput(widths[0])
        self.conv1 = StyledConv(widths[0], widths[0], upsample=False)
        self.to_rgb1 = ToRGB(2 * widths[0], first=True)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for narrow, wide in pairwise(widths):
            self.convs.append(StyledConv(2 * narrow, wide, upsample=True))
            self.convs.append(StyledConv(2 * wide, wide, upsample=False))
            self.to_rgbs.append(ToRGB(2 * wide, first=False))

    def forward(self, style: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
        """Map styles (N, 512) and the noise per scale, 4×4 first, to (N, 3, S, S)."""
        style = self.style(style)
        x = self.conv1(self.input.input, style, noise[0])
        picture: torch.Tensor = self.to_rgb1(x, style)
        for index, (to_rgb, features) in enumerate(zip(self.to_rgbs, noise[1:], strict=True)):
            x = self.convs[2 * index](x, style, features)
            x = self.convs[2 * index + 1](x, style, features)
            picture = to_rgb(x, style, picture)
        return picture


class GPEN(nn.Module):
    """Restores, or colours, a face.

    Args:
        size: Height and width of input and output, a power of two.
        multiplier: Width factor of the scales above 32 pixels.
        narrow: Width factor of all scales.
    """

    def __init__(self, size: int, multiplier: int, narrow: float) -> None:
        super().__init__()
        sizes = [2**power for power in range(2, size.bit_length())]  # 4, 8, …, size
        widths = [_channels(scale, multiplier, narrow) for scale in sizes]
        self.generator = Generator(widths)
        self.scales = len(sizes)
        self.ecd0 = nn.Sequential(EncoderLayer(3, widths[-1], 1, halve=False))
        for index, (wide, narrower) in enumerate(pairwise(reversed(widths)), start=1):
            self.add_module(f"ecd{index}", nn.Sequential(EncoderLayer(wide, narrower, 3, halve=True)))
        self.final_linear = nn.Sequential(EqualLinear(widths[0] * 16, _STYLE, activate=True))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, S, S) in [−1, 1] to the same shape, not clipped."""
        features = [picture]
        for index in range(self.scales):
            features.append(self.get_submodule(f"ecd{index}")(features[-1]))
        style = self.final_linear(features[-1].flatten(1))
        painted: torch.Tensor = self.generator(style, features[:0:-1])
        return painted

    def for_inference(self) -> GPEN:
        """This network with all constants folded into the weights."""
        for module in list(self.modules()):
            if isinstance(module, ToRGB):
                module.fold()
            for name, child in list(module.named_children()):
                if isinstance(child, EqualLinear | EncoderLayer | StyledConv):
                    setattr(module, name, child.folded())
        return self.eval().requires_grad_(False)
