"""What ONNX Runtime's and NNCF's own post-training quantisation make of the same float model and pictures."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Feed = dict[str, Array]
ModelFunction = Callable[[Sequence[Array]], Sequence[Array]]

PEERS = ("ONNX Runtime", "NNCF")


def available(peer: str) -> bool:
    """Whether `peer` is installed; NNCF needs OpenVINO to run what it makes."""
    needed = ("onnxruntime",) if peer == "ONNX Runtime" else ("nncf", "openvino")
    return all(importlib.util.find_spec(name) is not None for name in needed)


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

    from vacc_deploy.evaluate.model_function import OnnxFunction

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
        return OnnxFunction(result)


def _nncf(model: Path, feeds: Sequence[Feed]) -> ModelFunction:
    """NNCF's defaults with accurate bias correction, run by OpenVINO."""
    import nncf
    import openvino as ov

    float_model = ov.Core().read_model(str(model))
    quantized = nncf.quantize(float_model, nncf.Dataset(feeds), fast_bias_correction=False)
    compiled = ov.compile_model(quantized, "CPU")
    return lambda arrays: [np.asarray(v) for v in compiled([a.astype(np.float32) for a in arrays]).values()]
