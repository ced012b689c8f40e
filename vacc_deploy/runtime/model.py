"""A compiled network, loaded and callable."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.artifact import Artifact, Layer, Manifest, TensorSpec, read_artifact
from vacc_deploy.cpu import cpu_features, cpu_name
from vacc_deploy.errors import ArtifactError, RunError
from vacc_deploy.runtime import backend

_CPU, _POOLED_ALLOCATOR = 1, 2  # DLPack's device code; Relax VM's allocator kind

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class LayerTime:
    """One layer's share of an inference."""

    layer: Layer
    time_us: float


class Model:
    """A network compiled by `vdeploy compile`, ready to run on this CPU.

    1. The code has batch size 1; `run` splits larger batches, so results do not depend on the batch.
    2. Calls from several threads are allowed and take turns; for parallel inferences load several models.

    Args:
        prefix: The artifact's prefix (``deploy_weights/<name>/mod``) or an artifact that was read already.
        threads: Threads per inference; by default all cores. The first model of a process decides.

    Raises:
        ArtifactError: The artifact is missing, damaged, or compiled for instructions that this CPU lacks.
    """

    def __init__(self, prefix: Path | str | Artifact, threads: int | None = None) -> None:
        self.artifact = prefix if isinstance(prefix, Artifact) else read_artifact(prefix)
        _check_cpu(self.artifact)
        if threads is not None:
            backend.set_threads(threads)
        if self.manifest.isa == "amx":
            backend.request_amx()
        self.artifact.require_own_code()
        try:
            module = backend.load_code(self.artifact.code)
        except (RuntimeError, OSError) as error:
            raise ArtifactError(
                "the artifact's code cannot be loaded",
                where=str(self.artifact.code),
                why=str(error).strip().splitlines()[-1],
                hint="compile the model again on this machine",
            ) from error
        self._vm = module["vm_load_executable"]()
        self._vm["vm_initialization"](_CPU, 0, _POOLED_ALLOCATOR)
        self._main = self._vm["main"]
        self._from_dlpack = backend.tvm_ffi().from_dlpack
        self._memory = [backend.aligned_copy(array, str(array.dtype)) for array in self.artifact.params()]
        self._params = [self._from_dlpack(array) for array in self._memory]
        self._lock = threading.Lock()

    @property
    def manifest(self) -> Manifest:
        """What the artifact says about itself."""
        return self.artifact.manifest

    @property
    def name(self) -> str:
        """The name that the build configuration gave."""
        return self.manifest.name

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The network's inputs, batch dimension included."""
        return self.manifest.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The network's outputs in the source model's order."""
        return self.manifest.outputs

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Run one inference, or one per item of a batch.

        Args:
            arrays: One array per input in order, of the input's shape with any batch size; floats are
                rounded to the input's dtype.

        Returns:
            One array per output, of the output's dtype; float16 unless the model says otherwise.

        Raises:
            RunError: The number of arrays or a shape does not fit.
        """
        batch = self._check(arrays)
        rows = [self._run_one([array[index : index + 1] for array in arrays]) for index in range(batch)]
        if batch == 1:
            return rows[0]
        return [np.concatenate([row[index] for row in rows]) for index in range(len(self.outputs))]

    def profile(self, arrays: Sequence[Array]) -> list[LayerTime]:
        """Time every layer of one inference with the VM's instrument hook.

        Operators that Relax generated are one row per fused kernel.
        """
        waiting: dict[str, list[Layer]] = {}
        for layer in self.manifest.run_stream:
            waiting.setdefault(layer.kernel, []).append(layer)
        times: list[LayerTime] = []
        started = 0.0

        def instrument(_function: Any, name: str, before: bool, _result: Any, *_arguments: Any) -> int:
            nonlocal started
            if before:
                started = time.perf_counter()
            elif not name.startswith("vm."):
                elapsed = (time.perf_counter() - started) * 1e6
                layers = waiting.get(name)
                layer = layers.pop(0) if layers else _generated(name)
                times.append(LayerTime(layer, elapsed))
            return 0

        self._vm["set_instrument"](instrument)
        try:
            self._run_one([array[:1] for array in arrays])
        finally:
            self._vm["set_instrument"](None)
        return times

    def _run_one(self, arrays: Sequence[Array]) -> list[Array]:
        aligned = [
            backend.aligned_copy(array, spec.dtype) for array, spec in zip(arrays, self.inputs, strict=True)
        ]
        tensors = [self._from_dlpack(array) for array in aligned]
        with self._lock:
            result = self._main(*tensors, *self._params)
            return [np.from_dlpack(result[index]).copy() for index in range(len(self.outputs))]

    def _check(self, arrays: Sequence[Array]) -> int:
        if len(arrays) != len(self.inputs):
            raise RunError(
                f"{self.name} takes {len(self.inputs)} inputs, got {len(arrays)}",
                where=", ".join(spec.name for spec in self.inputs),
            )
        batches = {array.shape[0] if array.ndim else 0 for array in arrays}
        for array, spec in zip(arrays, self.inputs, strict=True):
            if array.shape[1:] != spec.shape[1:] or array.ndim != len(spec.shape):
                raise RunError(
                    f"input '{spec.name}' of {self.name} has shape {array.shape}",
                    why=f"the artifact was compiled for {spec.shape}",
                    hint="resize the input, or compile for this shape (compile --shape)",
                )
        if len(batches) != 1 or 0 in batches:
            raise RunError(f"the inputs of {self.name} have different batch sizes: {sorted(batches)}")
        return batches.pop()


def _generated(name: str) -> Layer:
    return Layer(name, name, "relax", name, (), (), "", ())


def _check_cpu(artifact: Artifact) -> None:
    missing = sorted(set(artifact.manifest.requires) - cpu_features())
    if missing:
        raise ArtifactError(
            f"the artifact was compiled for {artifact.manifest.target}, which this CPU is not",
            where=str(artifact.prefix),
            why=f"{cpu_name()} lacks {', '.join(missing)}",
            hint="compile it here with --target native, or for any machine with --target generic",
        )
