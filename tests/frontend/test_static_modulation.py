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
from official_gpen import FILTERS, Filter, official_form
from torch import nn
from torch.nn import functional as F

from vacc_deploy.export.gpen_network import Blur, ModulatedConv2d, Upsample
from vacc_deploy.frontend import load_model
from vacc_deploy.frontend.load import clean
from vacc_deploy.frontend.static_modulation import match
from vacc_deploy.frontend.torchscript import convert_file

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Block(nn.Module):
    """A style from the picture, a modulated convolution as the authors write it, and an enlarged shortcut."""

    def __init__(self, kernel: int, upfirdn: Filter, *, demodulate: bool, upsample: bool) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Conv2d(3, 8, 1)
        self.style = nn.Linear(8, 512)
        self.conv = ModulatedConv2d(8, 6, kernel, demodulate=demodulate, upsample=upsample)
        self.enlarge = Upsample() if upsample else None
        line = torch.tensor([1.0, 3.0, 2.0, 1.0])  # not symmetric, so that a missing flip shows
        for module in self.modules():
            if isinstance(module, Blur | Upsample):
                module.kernel = torch.outer(line, line) / 10
        official_form(self, upfirdn)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y: torch.Tensor = self.conv(x, self.style(x.mean((2, 3))))
        return y if self.enlarge is None else y + self.enlarge(x)[:, :6]


BLOCKS = {
    "plain": {"kernel": 3, "demodulate": True, "upsample": False},
    "to-rgb": {"kernel": 1, "demodulate": False, "upsample": False},
    "upsampling": {"kernel": 3, "demodulate": True, "upsample": True},
}


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("form", ["torchscript", "dynamo"])
@pytest.mark.parametrize("case", BLOCKS)
def test_official_form_becomes_static(case: str, form: str, filters: str, tmp_path: Path, run: Any) -> None:
    network = Block(**BLOCKS[case], upfirdn=FILTERS[filters])
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
