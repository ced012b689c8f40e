"""The five networks at small size with weights that are the same bits on every machine.

The recipes give the structure. Weights are then drawn as whole numbers over powers of two, and thresholds
lie on a grid of 1/16 octave or so, because a float pass differs in its last bits from CPU to CPU: what is
digested afterwards, quantising and lowering, has to be the same everywhere.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.quantize.calibrate import calibrate
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.settings import CalibrationSettings

Array = npt.NDArray[Any]
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")


def _vdsr() -> tuple[Any, tuple[int, ...]]:
    from vacc_deploy.export.registry import find_recipe

    return find_recipe("vdsr").build(), (1, 1, 32, 32)


def _lesrcnn() -> tuple[Any, tuple[int, ...]]:
    from vacc_deploy.export.registry import find_recipe

    return find_recipe("lesrcnn", "x2").build(), (1, 3, 32, 32)


def _fsrnet() -> tuple[Any, tuple[int, ...]]:
    from vacc_deploy.export.registry import find_recipe

    return find_recipe("fsrnet").build(), (1, 3, 32, 32)


def _sparnet() -> tuple[Any, tuple[int, ...]]:
    from vacc_deploy.export.sparnet_network import SPARNet

    return SPARNet(64, 64, 16, 1, "spar3d"), (1, 3, 64, 64)


def _gpen() -> tuple[Any, tuple[int, ...]]:
    from vacc_deploy.export.gpen_network import GPEN

    return GPEN(64, 1, 0.125), (1, 3, 64, 64)


NETWORKS: Mapping[str, Callable[[], tuple[Any, tuple[int, ...]]]] = {
    "vdsr": _vdsr,
    "lesrcnn": _lesrcnn,
    "fsrnet": _fsrnet,
    "sparnet": _sparnet,
    "gpen": _gpen,
}


def float_network(name: str) -> ir.Model:
    """One of `NETWORKS` as a clean ONNX graph with seeded weights."""
    import torch

    from vacc_deploy.export.archive import trace
    from vacc_deploy.export.exporter import for_inference
    from vacc_deploy.frontend.load import clean
    from vacc_deploy.frontend.torchscript import to_onnx

    torch.manual_seed(0)
    network, shape = NETWORKS[name]()
    traced = trace(for_inference(network), torch.zeros(shape))
    model = clean(to_onnx(traced, [shape], ["input"]), None, name)
    model.metadata_props.clear()
    for key, value in sorted(model.graph.initializers.items()):
        array = None if value.const_value is None else value.const_value.numpy()
        if array is None or array.dtype != np.float32 or array.size == 1:
            continue
        weighs = any(node.op_type in _WEIGHTED and index > 0 for node, index in value.uses())
        made = draw(key, array.shape) if weighs else coarse(array)
        if array.min() >= 0:  # sums of squares, blurs: their square root is taken, or they keep brightness
            made = np.abs(made)
        value.const_value = ir.tensor(made, name=key)
    return model


def coarse(array: Array) -> Array:
    """The nearest numbers of eight significant bits."""
    fraction, exponent = np.frexp(array.astype(np.float64))
    return np.ldexp(np.rint(fraction * 256) / 256, exponent).astype(np.float32)


def draw(key: str, shape: tuple[int, ...]) -> Array:
    """Whole numbers over a power of two: about unit gain for a weight, small for anything else."""
    random = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    whole = random.integers(-128, 129, shape)
    fan_in = math.prod(shape[1:]) if len(shape) == 4 else max(64, *shape)
    # Uniform numbers in ±1 have variance 1/3; half of the signal survives a ReLU.
    exponent = round(0.5 * math.log2(6 / fan_in)) - 7
    return (whole * 2.0**exponent).astype(np.float32)


def example(shape: tuple[int, ...]) -> Array:
    """A gradient with blocks on it, in steps of 1/64."""
    rows, columns = np.indices(shape[2:])
    picture = (rows * 2 + columns) % 64 + ((rows // 8 + columns // 8) % 2) * 16
    return np.broadcast_to(picture / 64 - 0.5, shape).astype(np.float32)


def on_grid(threshold: float) -> float:
    """The next larger number with four significant bits."""
    fraction, exponent = math.frexp(threshold)
    return math.ldexp(math.ceil(fraction * 16 - 1e-3) / 16, exponent)


def quantized_network(name: str) -> ir.Model:
    """One of `NETWORKS` in int8, symmetric."""
    model = float_network(name)
    shape = tuple(int(n) for n in model.graph.inputs[0].shape.numpy())
    dataset = [{str(model.graph.inputs[0].name): example(shape)}]
    table = calibrate(model, dataset, CalibrationSettings.recipe_exact(threads=1))
    for key, entry in table.tensors.items():
        low, high = on_grid(entry.low), on_grid(entry.high)
        table.tensors[key] = replace(entry, low=low, high=high)
    return quantize(model, table)
