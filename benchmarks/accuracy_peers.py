"""What ONNX Runtime's and NNCF's own post-training quantisation make of the same float model and pictures."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Array = npt.NDArray[Any]
Feed = dict[str, Array]
ModelFunction = Callable[[Sequence[Array]], Sequence[Array]]

PEERS = ("ONNX Runtime", "NNCF")


def available(peer: str) -> bool:
    """Whether `peer` is installed."""
    return importlib.util.find_spec("onnxruntime" if peer == "ONNX Runtime" else "nncf") is not None


def quantized_by(peer: str, model: Path, feeds: Sequence[Feed]) -> ModelFunction:
    """The float ONNX file `model` quantised by `peer`'s own defaults for best accuracy, as a function."""
    return _onnxruntime(model, feeds) if peer == "ONNX Runtime" else _nncf(model, feeds)


class _Reader:
    """ONNX Runtime's way of reading calibration data."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next picture."""
        return next(self._feeds, None)


def _onnxruntime(model: Path, feeds: Sequence[Feed]) -> ModelFunction:
    """Per channel, uint8 activations, percentile thresholds: the best of its settings on these networks."""
    from onnxruntime import quantization as ort

    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "quantized.onnx"
        ort.quantize_static(
            str(model),
            str(result),
            _Reader(feeds),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            calibrate_method=ort.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": 99.999},
        )
        return _as_written(result.read_bytes())


def _nncf(model: Path, feeds: Sequence[Feed]) -> ModelFunction:
    """NNCF's defaults with accurate bias correction."""
    import nncf

    quantized = nncf.quantize(onnx.load(model), nncf.Dataset(feeds), fast_bias_correction=False)
    return _as_written(quantized.SerializeToString())


def _as_written(model: bytes) -> ModelFunction:
    """A network of one input in QDQ form, node by node.

    Faster forms give other numbers or none: OpenVINO's int8 kernels saturate on CPUs without VNNI, which
    costs LESRCNN x2 13 dB, and ONNX Runtime's optimiser fails on what either of the two makes of it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model, options)
    name = session.get_inputs()[0].name
    return lambda arrays: list(session.run(None, {name: arrays[0].astype(np.float32)}))
