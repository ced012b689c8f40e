"""Make the test that an artifact carries: run its new code, and the float model, on one made-up input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.artifact import Manifest, SelfTest, TensorSpec, write_artifact
from vacc_deploy.cpu import cpu_count, cpu_features
from vacc_deploy.quantize.sessions import open_session
from vacc_deploy.runtime.model import Model


def make_self_test(
    manifest: Manifest, library: Path, params: Mapping[str, npt.NDArray[Any]], model: ir.Model, scratch: Path
) -> SelfTest:
    """The self-test of an artifact that is not written yet.

    Args:
        manifest: The artifact's.
        library: Its code.
        params: Its constants.
        model: The float model.
        scratch: A folder that does not exist yet, for a trial copy of the artifact.

    Returns:
        A record without outputs of the code where this CPU cannot run it.

    Raises:
        VdeployError: The code cannot be loaded, or does not run.
    """
    inputs = example_inputs(manifest.inputs)
    feed = {
        spec.name: array.astype(np.float32) if array.dtype == np.float16 else array
        for spec, array in zip(manifest.inputs, inputs, strict=True)
    }
    expected = open_session(model, cpu_count()).run(None, feed)
    outputs: list[npt.NDArray[Any]] = []
    if set(manifest.requires) <= cpu_features():
        outputs = Model(write_artifact(scratch, manifest, library, params)).run(inputs)
    return SelfTest(tuple(inputs), tuple(outputs), tuple(expected))


def example_inputs(specs: Sequence[TensorSpec]) -> list[npt.NDArray[Any]]:
    """A reproducible picture-like input: gradients with seeded noise, 0…1, of each input's dtype."""
    generator = np.random.Generator(np.random.PCG64(0))
    arrays = []
    for spec in specs:
        ramp = np.linspace(0.0, 1.0, int(np.prod(spec.shape)), dtype=np.float64).reshape(spec.shape)
        noise = generator.random(spec.shape)
        arrays.append((0.5 * ramp + 0.5 * noise).astype(spec.dtype))
    return arrays
