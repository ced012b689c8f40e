"""The official networks in float reproduce the published figures under every protocol that has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vacc_deploy.evaluate import evaluate, get_protocol
from vacc_deploy.safe_io import read_safetensors

pytestmark = [pytest.mark.golden, pytest.mark.slow]

# protocol → (PSNR dB, SSIM where a source states one); BASELINES.md of the shared data
VDSR = {
    "vdsr_vamp": (30.93047, None),
    "vdsr_vsx": (30.93850, None),
    "vdsr_pil": (30.95844, None),
    "vdsr_multisize": (31.46498, None),
}
LESRCNN = {
    2: {"official": (37.6507, 0.9586), "vamp": (34.5543, 0.9497), "vsx_area": (34.3779, 0.9479)},
    3: {"official": (33.9333, 0.9231), "vamp": (28.5913, 0.8255), "vsx_area": (28.8738, 0.8379)},
    4: {"official": (31.8836, 0.8903), "vamp": (25.8775, 0.7160), "vsx_area": (26.3555, 0.7409)},
}


def model_of(network: Any, weights: Path) -> Any:
    """The PyTorch network with these weights, as a function of arrays of any size."""
    import torch

    state = {name: torch.from_numpy(np.array(value)) for name, value in read_safetensors(weights).items()}
    network.load_state_dict(state)
    network.eval()

    def run(arrays: Sequence[Any]) -> list[Any]:
        with torch.inference_mode():
            return [network(torch.from_numpy(arrays[0])).numpy()]

    return run


@pytest.fixture(scope="module")
def vdsr(shared_data: Path) -> Any:
    from vacc_deploy.export import vdsr as recipe

    return model_of(recipe.VDSR(), shared_data / "vdsr" / "vdsr_epoch50.safetensors")


@pytest.mark.parametrize("name", VDSR)
def test_vdsr(name: str, vdsr: Any, shared_data: Path) -> None:
    pictures = shared_data / "set5_vdsr"
    result = evaluate(vdsr, get_protocol(name), pictures, pictures)
    assert result.images == 5
    assert result.psnr_db == pytest.approx(VDSR[name][0], abs=2e-4)


@pytest.mark.parametrize("scale", LESRCNN)
def test_lesrcnn(scale: int, shared_data: Path) -> None:
    from vacc_deploy.export import lesrcnn as recipe

    network = recipe.LESRCNN(scale)  # type: ignore[arg-type]
    model = model_of(network, shared_data / "lesrcnn" / f"lesrcnn_x{scale}.safetensors")
    pictures = shared_data / "set5_lesrcnn" / f"x{scale}"
    for name, (psnr_db, ssim) in LESRCNN[scale].items():
        result = evaluate(model, get_protocol(f"lesrcnn_{name}"), pictures, pictures)
        assert result.psnr_db == pytest.approx(psnr_db, abs=2e-4), name
        assert result.ssim == pytest.approx(ssim, abs=6e-5), name
