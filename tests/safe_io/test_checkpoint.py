"""Checkpoints of every kind that people share give the same tensors, and nothing in them runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io import check_torchscript, is_torchscript, read_checkpoint


class Block(nn.Module):
    """A user's own class, which a reader must not need."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) * self.scale


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(Block()))


def _wrong(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor * 0 for name, tensor in state.items()}


_State = dict[str, torch.Tensor]
SAVED: dict[str, Callable[[nn.Module, _State], Any]] = {
    "state-dict": lambda net, state: state,
    "plain-dict": lambda net, state: dict(state),
    "whole-module": lambda net, state: net,
    "data-parallel-module": lambda net, state: {"epoch": 50, "model": nn.DataParallel(net)},
    "module-prefix": lambda net, state: {f"module.{name}": tensor for name, tensor in state.items()},
    "doubled-prefix": lambda net, state: {f"module.module.{name}": tensor for name, tensor in state.items()},
    "nested-state-dict": lambda net, state: {"epoch": 3, "state_dict": state, "loss": 0.5},
    "nested-model": lambda net, state: {"model": state, "args": {"lr": 1e-4}},
    "nested-params": lambda net, state: {"params": state},
    "averaged-first": lambda net, state: {"params": _wrong(state), "params_ema": state},
    "generator-averaged": lambda net, state: {"g": _wrong(state), "g_ema": state, "d": _wrong(state)},
    "with-optimizer": lambda net, state: {
        "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
        "state_dict": state,
    },
    "unusual-name": lambda net, state: {"my_weights": state, "epoch": 1},
    "two-levels": lambda net, state: {"model": {"state_dict": state}},
    "parameters": lambda net, state: {
        name: nn.Parameter(tensor, requires_grad=False) for name, tensor in state.items()
    },
    "list": lambda net, state: [state],
}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", SAVED)
def test_weights_are_found(name: str, is_zip: bool, tmp_path: Path) -> None:
    network = _network()
    state = network.state_dict()
    path = tmp_path / "model.pth"
    torch.save(SAVED[name](network, state), path, _use_new_zipfile_serialization=is_zip)
    tensors = read_checkpoint(path)
    assert sorted(tensors) == sorted(state)
    for key, expected in state.items():
        np.testing.assert_array_equal(tensors[key], expected.numpy(), err_msg=key)
        assert tensors[key].dtype == expected.numpy().dtype
        assert tensors[key].shape == expected.shape


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(protocol: int, tmp_path: Path) -> None:
    torch.save({"w": torch.arange(3.0)}, tmp_path / "a.pt", pickle_protocol=protocol)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "a.pt")["w"], [0, 1, 2])


DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", DTYPES)
def test_element_types(name: str, is_zip: bool, tmp_path: Path) -> None:
    tensor = torch.tensor([0.0, 1.0, 1.5]).to(DTYPES[name])
    torch.save({"w": tensor}, tmp_path / "a.pt", _use_new_zipfile_serialization=is_zip)
    array = read_checkpoint(tmp_path / "a.pt")["w"]
    assert array.dtype == (np.float32 if name == "bfloat16" else np.dtype(name))
    np.testing.assert_array_equal(array, tensor.to(torch.float64).numpy())


VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "transposed": lambda t: t.t(),
    "sliced": lambda t: t[1:, 2:],
    "strided": lambda t: t[::2, ::3],
    "scalar": lambda t: t[1, 2],
    "empty": lambda t: t[:0],
    "channels-last": lambda t: t.reshape(1, 3, 2, 2).to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", VIEWS)
def test_views_of_storages(name: str, is_zip: bool, tmp_path: Path) -> None:
    view = VIEWS[name](torch.arange(12.0).reshape(3, 4))
    torch.save({"w": view, "x": torch.ones(2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=is_zip)
    array = read_checkpoint(tmp_path / "a.pt")["w"]
    np.testing.assert_array_equal(array, view.numpy())
    assert array.shape == tuple(view.shape)
    assert array.flags.c_contiguous


def test_shared_module_appears_under_each_name(tmp_path: Path) -> None:
    shared = nn.Linear(2, 2)
    torch.save(nn.ModuleDict({"a": shared, "b": shared}), tmp_path / "a.pt")
    tensors = read_checkpoint(tmp_path / "a.pt")
    np.testing.assert_array_equal(tensors["a.weight"], tensors["b.weight"])


def test_torchscript_weights(tmp_path: Path) -> None:
    network = _network().eval()
    path = tmp_path / "model.pt"
    torch.jit.trace(network, torch.zeros(1, 3, 16, 16)).save(path)
    check_torchscript(path)
    assert is_torchscript(path)
    tensors = read_checkpoint(path)
    for key, expected in network.state_dict().items():
        np.testing.assert_array_equal(tensors[key], expected.numpy(), err_msg=key)


def test_state_dict_is_not_torchscript(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    assert not is_torchscript(tmp_path / "a.pt")


def test_checkpoint_without_weights_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "args": "x"}, tmp_path / "a.pt")
    with pytest.raises(FileError, match="no weights") as caught:
        read_checkpoint(tmp_path / "a.pt")
    assert caught.value.why == "it holds args, epoch"


@pytest.mark.golden
def test_real_weights(shared_data: Path) -> None:
    assert len(read_checkpoint(shared_data / "vdsr" / "vdsr_epoch50.safetensors")) == 20
    assert len(read_checkpoint(shared_data / "lesrcnn" / "lesrcnn_x2.safetensors")) == 28
