"""Checkpoints load only if every key fits, and every misfit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vacc_deploy.errors import CheckpointError, FileError
from vacc_deploy.export.checkpoint import load_arrays, load_checkpoint
from vacc_deploy.export.registry import find_recipe
from vacc_deploy.export.vdsr import VDSR


def small() -> VDSR:
    return VDSR(depth=3, channels=4)


def arrays() -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    return {key: value.numpy() for key, value in small().state_dict().items()}


def without(weights: dict[str, np.ndarray], key: str) -> dict[str, np.ndarray]:
    return {name: value for name, value in weights.items() if name != key}


MISFITS = {
    "missing": (lambda w: without(w, "input.weight"), "1 missing: input.weight"),
    "unexpected": (lambda w: w | {"extra": np.zeros(2, np.float32)}, "1 unexpected: extra"),
    "misshapen": (
        lambda w: w | {"output.weight": np.zeros((1, 5, 3, 3), np.float32)},
        "output.weight (is 1x5x3x3, must be 1x4x3x3)",
    ),
    "nan": (lambda w: w | {"input.weight": w["input.weight"] * np.nan}, "1 broken: input.weight"),
    "infinity": (lambda w: w | {"input.weight": w["input.weight"] / 0}, "1 broken: input.weight"),
    "all-at-once": (
        lambda w: without(w, "input.weight") | {"a": np.zeros(1, np.float32)},
        "1 missing: input.weight; 1 unexpected: a",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_misfit_is_named(case: str) -> None:
    change, message = MISFITS[case]
    with pytest.raises(CheckpointError) as caught:
        load_arrays(small(), change(arrays()), "file", "tiny")
    assert message in str(caught.value)


def test_long_lists_are_cut() -> None:
    with pytest.raises(CheckpointError, match=r"20 missing: .* and 12 more"):
        load_arrays(VDSR(), {}, "file", "vdsr")


def test_half_precision_and_read_only_arrays_load() -> None:
    weights = {key: value.astype(np.float16) for key, value in arrays().items()}
    for value in weights.values():
        value.flags.writeable = False
    network = small()
    load_arrays(network, weights, "file", "tiny")
    assert torch.equal(network.input.weight, torch.from_numpy(weights["input.weight"].astype(np.float32)))


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)


def test_batch_counters_may_be_missing() -> None:
    weights = {k: v.numpy() for k, v in Counted().state_dict().items() if "num_batches" not in k}
    load_arrays(Counted(), weights, "file", "counted")


FORMS = {
    "state-dict": lambda state: state,
    "nested": lambda state: {"state_dict": state, "epoch": 3},
    "params-ema": lambda state: {"params_ema": state},
    "module-prefix": lambda state: {f"module.{key}": value for key, value in state.items()},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_pth_files_load(form: str, legacy: bool, tmp_path: Path) -> None:
    state = {key: torch.from_numpy(value) for key, value in arrays().items()}
    path = tmp_path / "weights.pth"
    torch.save(FORMS[form](state), path, _use_new_zipfile_serialization=not legacy)
    network = small()
    load_checkpoint(network, path, "tiny")
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key])


def test_missing_file_is_one_error() -> None:
    with pytest.raises(FileError):
        load_checkpoint(small(), Path("/nowhere/weights.pth"), "tiny")


@pytest.mark.golden
def test_checkpoint_of_another_model(shared_data: Path) -> None:
    with pytest.raises(CheckpointError, match=r"28 missing.*20 unexpected"):
        load_checkpoint(
            find_recipe("lesrcnn").build(), shared_data / "vdsr" / "vdsr_epoch50.safetensors", "lesrcnn_x2"
        )
