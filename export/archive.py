"""TorchScript archives: tracing, and writing them without paths, times or running numbers."""

from __future__ import annotations

import io
import warnings
import zipfile

import torch
from torch import nn

from vacc_deploy.frontend.torchscript import METADATA_FILE

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def trace(network: nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    """The network as a traced module at the example's shape.

    Args:
        network: In evaluation mode.
        example: Any input, (1, C, H, W) float32.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # TorchScript is old, and what the card's tools read
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
    assert isinstance(traced, torch.jit.ScriptModule)
    return traced


def save_torchscript(module: torch.jit.ScriptModule, document: str) -> bytes:
    """Serialise a traced module.

    The debug tables are left out: they hold the source paths of the machine that traced.

    Args:
        module: The traced module.
        document: Stored in the archive as the extra file ``vdeploy.json``.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(module, buffer, _extra_files={METADATA_FILE: document})
    buffer.seek(0)
    clean = io.BytesIO()
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(clean, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            if not name.endswith((".debug_pkl", ".data/serialization_id")):
                target.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), source.read(name))
    return clean.getvalue()
