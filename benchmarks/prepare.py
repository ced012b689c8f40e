"""Make from one float model what the contenders run: quantized.onnx, NNCF's int8 model, our artifacts.

Every stage runs in a process of its own, so that its time and its peak memory are its own, and is skipped
when its result exists.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from networks import Network
from peak_memory import peak_mb

Feed = dict[str, npt.NDArray[np.float32]]


def prepare(network: Network, *, nncf: bool = True) -> dict[str, dict[str, float]]:
    """Run the stages whose results are missing.

    Returns:
        Of every lowering: ``seconds``, ``cpu_seconds`` and ``peak_mb``.

    Raises:
        RuntimeError: A stage failed; its own traceback stands above.
    """
    network.folder.mkdir(parents=True, exist_ok=True)
    if not network.quantized.exists():
        _in_process(_quantize, network)
    if nncf and not network.nncf.exists():
        _in_process(_quantize_with_nncf, network)
    costs = {}
    for dtype in ("int8", "fp16"):
        record = network.folder / f"{dtype}.json"
        if not record.exists():
            _in_process(_lower, network, dtype)
        costs[dtype] = json.loads(record.read_text())
    return costs


def _in_process(stage: Callable[..., None], *arguments: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=stage, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"{stage.__name__.strip('_')} of {arguments[0].name} failed")


def pictures(shapes: dict[str, tuple[int, ...]]) -> Iterator[Feed]:
    """Two photographs in the shapes of a network's inputs, values 0…1."""
    import cv2
    from skimage import data

    for photograph in (data.astronaut(), data.coffee()):
        feed = {}
        for name, (_, channels, height, width) in shapes.items():
            resized = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
            picture = resized.astype(np.float32).transpose(2, 0, 1)[None] / 255
            feed[name] = (
                picture if channels == 3 else np.repeat(picture.mean(1, keepdims=True), channels, axis=1)
            )
        yield feed


def _quantize(network: Network) -> None:
    import onnx_ir as ir

    from vacc_deploy.frontend import load_model
    from vacc_deploy.quantize.calibrate import calibrate
    from vacc_deploy.quantize.qdq import quantize
    from vacc_deploy.quantize.settings import CalibrationSettings

    model = load_model(network.model, None)
    shapes = {str(value.name): tuple(value.shape.numpy()) for value in model.graph.inputs if value.shape}
    # Thresholds do not change the speed, so the quickest way to some is good enough here. The scheme
    # changes the peers' speed: ONNX Runtime computes symmetric int8 activations in float, and a zero point of
    # 128 keeps it from fusing a Relu. Ours is as fast in either.
    settings = CalibrationSettings(
        mode="max", scheme="asymmetric", correct_channels=False, round_weights=False, equalise=False
    )
    quantized = quantize(model, calibrate(model, pictures(shapes), settings))
    ir.save(model, network.float_model)
    ir.save(quantized, network.quantized)


def _quantize_with_nncf(network: Network) -> None:
    import logging

    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    model = openvino.Core().read_model(network.float_model)
    shapes = {port.get_any_name(): tuple(port.shape) for port in model.inputs}
    feeds = list(pictures(shapes))
    int8 = nncf.quantize(model, nncf.Dataset(feeds), subset_size=len(feeds), fast_bias_correction=True)
    openvino.save_model(int8, network.nncf)


def _lower(network: Network, dtype: str) -> None:
    import onnx_ir as ir

    from vacc_deploy.artifact import Manifest, write_artifact
    from vacc_deploy.lowering.pipeline import lower
    from vacc_deploy.lowering.target import resolve_target

    target = resolve_target("native")
    model = ir.load(network.quantized if dtype == "int8" else network.float_model)
    library = network.folder / f"{dtype}.so"
    started, cpu_started = time.perf_counter(), time.process_time()
    lowered = lower(model, target, library)
    cost = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "peak_mb": peak_mb(),
        "code_mb": library.stat().st_size / 2**20,
        "gmacs": sum(layer.macs for layer in lowered.run_stream) / 1e9,
    }
    manifest = Manifest(
        name=network.name,
        dtype=dtype,
        target=target.name,
        isa=target.isa.value,
        requires=tuple(sorted(target.requires)),
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        run_stream=lowered.run_stream,
        params=tuple(lowered.params),
        versions={},
        config={},
        sources={},
        recipe={},
        calibration={},
    )
    write_artifact(network.folder / dtype, manifest, library, lowered.params)
    (network.folder / f"{dtype}.json").write_text(json.dumps(cost, indent=1))
