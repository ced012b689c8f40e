"""How much noise a network itself adds: is a poor int8 result the quantiser's fault, or the network's?

    python benchmarks/noise.py exported/sparnet_hd_attn3d.onnx --size 128      (needs ../shared/data/faces512)

White noise is added in float, at the input and behind every convolution, so many dB under the signal, and the
result is compared with the undisturbed one. A network that keeps its own noise small answers 40 dB at the
input with about 40 dB at the output. Below, the same network in int8: by this package's defaults, by ONNX
Runtime's `quantize_static` (weights per channel, convolutions only), which shares nothing with it, and with
the first and the last large convolution alone in int8.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from PIL import Image

from vacc_deploy.frontend.load import load_model
from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.score import quantized_runner
from vacc_deploy.quantize.sessions import runner
from vacc_deploy.quantize.settings import CalibrationSettings
from vacc_deploy.quantize.table import CalibrationTable

Array = npt.NDArray[Any]
Feed = dict[str, Array]

FACES = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "faces512"
_CALIBRATION = 5
_LEVELS_DB = (80, 60, 50, 40, 35)
_LEVEL = "noise/level"
_THREADS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="float ONNX file with one picture as its input")
    parser.add_argument("--size", type=int, help="height and width to run it at; its own by default")
    parser.add_argument("--pictures", type=Path, default=FACES, help="folder of at least seven PNG files")
    parser.add_argument("--output", type=int, default=-1, help="which output is the picture")
    options = parser.parse_args(arguments)
    model = _load(options.model, options.size)
    height = int(model.graph.inputs[0].shape.numpy()[2])
    files = sorted(options.pictures.glob("*.png"))
    feeds = [{str(model.graph.inputs[0].name): _picture(file, height)} for file in files]
    shown, judged = feeds[:_CALIBRATION], feeds[_CALIBRATION : _CALIBRATION + 2]
    run = runner(model, _THREADS)
    expected = [run(feed)[options.output] for feed in judged]

    def judge(what: str, answer: Callable[[Feed], list[Array]]) -> None:
        ratios = [_sqnr(y, answer(feed)[options.output]) for y, feed in zip(expected, judged, strict=True)]
        print(f"{what:58s} " + " ".join(f"{ratio:6.1f}" for ratio in ratios), flush=True)

    print(f"{'signal to noise of the output, dB, on two pictures':58s}")
    for level in _LEVELS_DB:
        judge(f"white noise {level} dB under the input", lambda feed, db=level: run(_disturbed(feed, db)))
    noisy = _with_noise_behind_convolutions(model)
    for level in _LEVELS_DB:
        judge(f"white noise {level} dB under every convolution's result", _at_level(noisy, level))
    for scheme in ("symmetric", "asymmetric"):
        table = calibrate(model, shown, replace(CalibrationSettings(), scheme=scheme))
        judge(f"int8, {scheme}", quantized_runner(model, table, _THREADS))
        judge(f"int8, {scheme}, ONNX Runtime", runner(_by_onnxruntime(model, shown, scheme), _THREADS))
        total = sum(entry.macs for entry in table.layers.values())
        large = [
            n for n, entry in table.layers.items() if entry.precision == "int8" and entry.macs > total / 50
        ]
        for name in (large[0], large[-1]):
            alone = quantized_runner(model, _all_fp16_but(table, name), _THREADS)
            judge(f"int8, {scheme}, {name} alone", alone)
    return 0


def _all_fp16_but(table: CalibrationTable, layer: str) -> CalibrationTable:
    for name in table.layers:
        if name != layer:
            table = table.with_precision(name, "fp16", "noise")
    return table


def _load(path: Path, size: int | None) -> ir.Model:
    """The model, rewritten for pictures of another size if its operators allow it."""
    if size is None:
        return load_model(path)
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for dimension in list(value.type.tensor_type.shape.dim)[2:]:
            dimension.dim_value = size
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory(prefix="vdeploy-noise-") as folder:
        onnx.save(model, Path(folder) / path.name)
        return load_model(Path(folder) / path.name)


def _picture(file: Path, size: int) -> Array:
    """A face that was scaled down eight times and up again, (1, 3, size, size) in [−1, 1]."""
    with Image.open(file) as picture:
        small = picture.convert("RGB").resize((size // 8, size // 8), Image.Resampling.BICUBIC)
        large = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC), np.float32)
    return np.ascontiguousarray((large / 127.5 - 1).transpose(2, 0, 1)[np.newaxis])


def _sqnr(expected: Array, result: Array) -> float:
    error = np.mean(np.square(result.astype(np.float64) - expected))
    return 10 * math.log10(float(np.mean(np.square(expected, dtype=np.float64))) / max(float(error), 1e-30))


def _disturbed(feed: Feed, db: float) -> Feed:
    random = np.random.default_rng(0)
    return {n: x + _amplitude(x, db) * random.standard_normal(x.shape, np.float32) for n, x in feed.items()}


def _amplitude(x: Array, db: float) -> np.float32:
    return np.float32(np.sqrt(np.mean(np.square(x))) * 10 ** (-db / 20))


def _with_noise_behind_convolutions(model: ir.Model) -> onnx.ModelProto:
    """`model` with noise behind every convolution, as many times its root mean square as `_LEVEL` says."""
    noisy = ir.to_proto(model)
    nodes = []
    for index, node in enumerate(noisy.graph.node):
        nodes.append(node)
        if node.op_type not in ("Conv", "ConvTranspose"):
            continue
        result = node.output[0]
        clean, square, power, size, noise, scaled = (
            f"{result}/{word}" for word in ("clean", "square", "power", "size", "noise", "scaled")
        )
        node.output[0] = clean
        nodes += [
            helper.make_node("Mul", [clean, clean], [square]),
            helper.make_node("ReduceMean", [square], [power], keepdims=1),
            helper.make_node("Sqrt", [power], [size]),
            helper.make_node("RandomNormalLike", [clean], [noise], seed=float(index), dtype=1),
            helper.make_node("Mul", [size, _LEVEL], [f"{size}/level"]),
            helper.make_node("Mul", [noise, f"{size}/level"], [scaled]),
            helper.make_node("Add", [clean, scaled], [result]),
        ]
    del noisy.graph.node[:]
    noisy.graph.node.extend(nodes)
    noisy.graph.initializer.append(numpy_helper.from_array(np.float32(0), _LEVEL))
    return noisy


def _at_level(noisy: onnx.ModelProto, db: float) -> Callable[[Feed], list[Array]]:
    level = next(tensor for tensor in noisy.graph.initializer if tensor.name == _LEVEL)
    level.CopyFrom(numpy_helper.from_array(np.float32(10 ** (-db / 20)), _LEVEL))
    return runner(ir.from_proto(noisy), _THREADS)


class _Reader(CalibrationDataReader):
    """Hands ONNX Runtime the pictures one by one."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._feeds, None)


def _by_onnxruntime(model: ir.Model, feeds: Sequence[Feed], scheme: str) -> ir.Model:
    """The convolutions of `model` as ONNX Runtime quantises them by default, weights per channel."""
    symmetric = scheme == "symmetric"
    with tempfile.TemporaryDirectory(prefix="vdeploy-noise-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(ir.to_proto(model), source)
        quantize_static(
            source,
            target,
            _Reader(feeds),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            op_types_to_quantize=["Conv", "ConvTranspose"],
            extra_options={"ActivationSymmetric": symmetric},
        )
        return ir.from_proto(onnx.load(target))


if __name__ == "__main__":
    sys.exit(main())
