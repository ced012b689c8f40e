"""StyleGAN2 blocks written the usual way, weights computed in the graph, become static convolutions."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vacc_deploy.frontend import load_model
from vacc_deploy.frontend.load import clean
from vacc_deploy.frontend.static_modulation import match
from vacc_deploy.frontend.torchscript import convert_file

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def upfirdn2d(x: torch.Tensor, kernel: torch.Tensor, up: int, pad: tuple[int, int]) -> torch.Tensor:
    """Zeros between pixels, padding, filter: channels last, as the reference implementations have it."""
    n, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).view(n, height, 1, width, 1, channels)
    x = F.pad(x, [0, 0, 0, up - 1, 0, 0, 0, up - 1]).view(n, height * up, width * up, channels)
    x = F.pad(x, [0, 0, *pad, *pad])
    height, width = x.shape[1], x.shape[2]
    x = x.permute(0, 3, 1, 2).reshape(n * channels, 1, height, width)
    x = F.conv2d(x, kernel.flip(0, 1)[None, None])
    return x.view(n, channels, x.shape[2], x.shape[3])


class Modulated(nn.Module):
    """One modulated convolution whose weight is computed for every style."""

    def __init__(self, kernel: int, *, demodulate: bool, upsample: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 6, 8, kernel, kernel))
        self.modulation = nn.Linear(5, 8)
        self.demodulate, self.upsample, self.kernel = demodulate, upsample, kernel
        line = torch.tensor([1.0, 3.0, 2.0, 1.0])  # not symmetric, so that a missing flip shows
        self.register_buffer("blur", torch.outer(line, line) / 10)

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        weight = 0.1 * self.weight * self.modulation(style).view(batch, 1, channels, 1, 1)
        if self.demodulate:
            factor = torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8)
            weight = weight * factor.view(batch, 6, 1, 1, 1)
        weight = weight.view(batch * 6, channels, self.kernel, self.kernel)
        x = x.view(1, batch * channels, height, width)
        if not self.upsample:
            y = F.conv2d(x, weight, padding=self.kernel // 2, groups=batch)
            return y.view(batch, 6, y.shape[2], y.shape[3])
        weight = weight.view(batch, 6, channels, self.kernel, self.kernel).transpose(1, 2)
        weight = weight.reshape(batch * channels, 6, self.kernel, self.kernel)
        y = F.conv_transpose2d(x, weight, stride=2, groups=batch)
        y = y.view(batch, 6, y.shape[2], y.shape[3])
        return upfirdn2d(y, self.blur, 1, (1, 1))


class Block(nn.Module):
    """A style from the picture, a modulated convolution, and an enlarged shortcut."""

    def __init__(self, kernel: int, *, demodulate: bool, upsample: bool) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(3, 8, 1)
        self.style = nn.Linear(8, 5)
        self.conv = Modulated(kernel, demodulate=demodulate, upsample=upsample)
        line = torch.tensor([1.0, 3.0, 2.0, 1.0])
        self.register_buffer("kernel", torch.outer(line, line) / 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.conv(x, self.style(x.mean((2, 3))))
        if self.conv.upsample:
            return y + upfirdn2d(x, self.kernel, 2, (2, 1))[:, :6]
        return y


BLOCKS = {
    "plain": {"kernel": 3, "demodulate": True, "upsample": False},
    "to-rgb": {"kernel": 1, "demodulate": False, "upsample": False},
    "upsampling": {"kernel": 3, "demodulate": True, "upsample": True},
}


@pytest.mark.parametrize("form", ["torchscript", "dynamo"])
@pytest.mark.parametrize("case", BLOCKS)
def test_official_form_becomes_static(case: str, form: str, tmp_path: Path, run: Any) -> None:
    network = Block(**BLOCKS[case]).eval().requires_grad_(False)
    example = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 6, 4)).astype(np.float32))
    if form == "torchscript":
        torch.jit.trace(network, example, check_trace=False).save(str(tmp_path / "net.pt"))
        convert_file(tmp_path / "net.pt", tmp_path / "net", {"x": (1, 3, 6, 4)})
    else:
        program = torch.onnx.export(network, (example,), dynamo=True, opset_version=18, verbose=False)
        (tmp_path / "net").write_bytes(program.model_proto.SerializeToString())
    model = load_model(tmp_path / "net", {"x": (1, 3, 6, 4)})
    (got,) = run(model, example.numpy())
    np.testing.assert_allclose(got, network(example).numpy(), rtol=0, atol=2e-5)
    convolutions = [node for node in model.graph if node.op_type in ("Conv", "ConvTranspose")]
    assert all(node.inputs[1].const_value is not None for node in convolutions)
    kinds = Counter(node.op_type for node in model.graph)
    assert kinds["Transpose"] == kinds["Pad"] == kinds["ReduceSum"] == 0
    assert kinds["ConvTranspose"] == (2 if case == "upsampling" else 0)


def test_weight_computed_another_way_is_left_alone() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, self.weight * x.mean())

    buffer = io.BytesIO()
    torch.onnx.export(Odd(), (torch.rand(1, 3, 6, 6),), buffer, dynamo=False, opset_version=17)
    model = clean(onnx.load_model_from_string(buffer.getvalue()), None, "odd")
    (conv,) = [node for node in model.graph if node.op_type == "Conv"]
    assert match(conv) is None
