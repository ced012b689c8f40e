"""The runtimes that are compared, each in a process of its own that runs inferences when told to."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import numpy as np
from peak_memory import peak_mb, reset_peak_mb

Runtime = Literal["ours", "openvino", "onnxruntime"]
_MODEL_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True, slots=True)
class Timing:
    """The mean of some inferences, milliseconds."""

    cpu_ms: float  # of all threads together
    wall_ms: float


@dataclass(frozen=True, slots=True)
class Loading:
    """What it takes to have a model ready and run it once.

    Memory counts from after the imports: the model, its weights and its activations, but not the libraries.
    """

    load_ms: float
    peak_mb: float


class Contender:
    """One runtime with one model loaded, in its own process.

    Args:
        runtime: Which one.
        model: Our artifact's prefix, or an ONNX or OpenVINO file.
        threads: Threads of one inference.
        float32: Let OpenVINO compute floats in float32; it takes bfloat16 by itself where the CPU has it.
        batch: Pictures of one inference; ours only.
    """

    def __init__(
        self, runtime: Runtime, model: Path, threads: int, *, float32: bool = False, batch: int = 1
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, runtime, model, threads, float32, batch), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            self.loading: Loading = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{runtime} could not load {model}; its traceback stands above") from None

    def run(self, repetitions: int) -> Timing:
        """Run `repetitions` inferences one after the other."""
        self._pipe.send(repetitions)
        timing: Timing = self._pipe.recv()
        return timing

    def close(self) -> None:
        """End the process."""
        self._pipe.send(0)
        self._process.join()


def _serve(pipe: Connection, runtime: Runtime, model: Path, threads: int, float32: bool, batch: int) -> None:
    os.environ["TVM_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    prepare = _LOADERS[runtime]()
    before = reset_peak_mb()
    started = time.perf_counter()
    infer = prepare(model, threads, float32, batch)
    loaded = time.perf_counter()
    infer()
    pipe.send(Loading((loaded - started) * 1e3, peak_mb() - before))
    while repetitions := pipe.recv():
        infer()  # caches and threads wake up outside the measured span
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(repetitions):
            infer()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        pipe.send(Timing(cpu / repetitions * 1e3, wall / repetitions * 1e3))


Loader = Callable[[Path, int, bool, int], Callable[[], Any]]


def _load_ours() -> Loader:
    from vacc_deploy.runtime import backend
    from vacc_deploy.runtime.model import Model

    backend.tvm_ffi()

    def load(prefix: Path, threads: int, _float32: bool, batch: int) -> Callable[[], Any]:
        model = Model(prefix, threads=threads)
        arrays = [_picture((batch, *spec.shape[1:]), spec.dtype) for spec in model.inputs]
        return lambda: model.run(arrays)

    return load


def _load_openvino() -> Loader:
    import openvino

    core = openvino.Core()

    def load(file: Path, threads: int, float32: bool, _batch: int) -> Callable[[], Any]:
        config: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        }  # fmt: skip
        if float32:
            config["INFERENCE_PRECISION_HINT"] = "f32"
        compiled = core.compile_model(file, "CPU", config)
        request = compiled.create_infer_request()
        arrays = [_picture(tuple(port.shape), np.float32) for port in compiled.inputs]
        return lambda: request.infer(arrays)

    return load


def _load_onnxruntime() -> Loader:
    import onnxruntime

    def load(file: Path, threads: int, _float32: bool, _batch: int) -> Callable[[], Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        feed = {node.name: _picture(node.shape, _MODEL_TYPES[node.type]) for node in session.get_inputs()}
        return lambda: session.run(None, feed)

    return load


_LOADERS: dict[Runtime, Callable[[], Loader]] = {
    "ours": _load_ours, "openvino": _load_openvino, "onnxruntime": _load_onnxruntime,
}  # fmt: skip


def _picture(shape: Any, dtype: Any) -> Any:
    return np.random.default_rng(0).random(tuple(shape), np.float32).astype(dtype)
