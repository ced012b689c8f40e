"""Converts a TorchScript file to ONNX in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from vacc_deploy.errors import ModelError
from vacc_deploy.safe_io import open_archive
from vacc_deploy.safe_io.limits import MAX_CHECKPOINT_BYTES, MAX_MODEL_BYTES

TIME_LIMIT_S = 600
MEMORY_LIMIT_BYTES = 16 << 30  # address space; torch maps several GB that it never touches
FILE_LIMIT_BYTES = MAX_MODEL_BYTES  # of any file that it writes
_METADATA_LIMIT = 1 << 20  # bytes
_METADATA_NAME = "/extra/vdeploy.json"


def stored_document(path: Path) -> dict[str, Any]:
    """What ``vdeploy export`` wrote into the archive, as it does into ONNX metadata; empty elsewhere."""
    with open_archive(path, MAX_CHECKPOINT_BYTES) as archive:
        for name in archive.names:
            if name.endswith(_METADATA_NAME) and archive.size(name) <= _METADATA_LIMIT:
                try:
                    document = json.loads(archive.read(name, _METADATA_LIMIT))
                except ValueError:
                    return {}  # some other tool's file of that name
                return document if isinstance(document, dict) else {}
    return {}


def stored_inputs(path: Path) -> dict[str, list[int]] | None:
    """Input shapes that ``vdeploy export`` wrote into the archive; None if it did not write it."""
    try:
        shapes = stored_document(path)["inputs"]
        return {str(key): [int(size) for size in shape] for key, shape in shapes.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _limit_resources() -> None:
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_CPU, TIME_LIMIT_S),
        (resource.RLIMIT_FSIZE, FILE_LIMIT_BYTES),
    ):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def convert(path: Path, inputs: Mapping[str, Sequence[int]] | None) -> onnx.ModelProto:
    """Convert one TorchScript file.

    Loading TorchScript interprets a program from the file, so it happens under limits of time and memory
    and outside the process that holds the user's data.

    Args:
        path: The TorchScript file.
        inputs: Input name → shape; None takes what ``vdeploy export`` stored in the file.

    Raises:
        ModelError: Shapes are missing, or torch cannot read or convert the file.
    """
    inputs = inputs or stored_inputs(path)
    if not inputs:
        raise ModelError(
            "a TorchScript file does not say its input shapes",
            where=str(path),
            hint="give them: vdeploy compile --shape 1,3,512,512, or frontend.shape in a build YAML",
        )
    with tempfile.TemporaryDirectory(prefix="vdeploy-torchscript-") as folder:
        target = Path(folder) / "model.onnx"
        command = [sys.executable, "-m", "vacc_deploy.frontend.torchscript", str(path.resolve()), str(target)]
        shapes = json.dumps({name: list(shape) for name, shape in inputs.items()})
        try:
            done = subprocess.run(
                [*command, shapes],
                capture_output=True,
                text=True,
                timeout=TIME_LIMIT_S,
                check=False,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                preexec_fn=_limit_resources,
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"converting the TorchScript file took over {TIME_LIMIT_S} s",
                where=str(path),
                hint="export the network as ONNX yourself and compile that",
            ) from error
        if done.returncode or not target.is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise ModelError(
                "the TorchScript file cannot be converted to ONNX",
                where=str(path),
                why=lines[-1] if lines else f"the converter stopped with code {done.returncode}",
                hint="check that --shape or frontend.shape gives the network's real input shape; a network "
                "saved by torch.jit.script may have branches that cannot be exported: save it by "
                "torch.jit.trace",
            )
        return onnx.load_model(target)
