"""The vendor's layer numbers and operator names, translated to the layers of the network at hand.

The vendor counts from 0 in graph order: ``skip_conv_layers`` over convolutions, ``skip_matmul_layers``
over matrix products, ``exclude_layers`` over both. ``quantize_operators`` and ``ops_usingfp`` name
operators as TVM does (``nn.vacc_matmul``, ``_add``); a leading ``!`` keeps one in fp16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vacc_deploy.config.quantize import QuantizeConfig
from vacc_deploy.quantize.layers import Layer
from vacc_deploy.quantize.settings import CalibrationSettings, LayerChoice

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_PRODUCTS = ("MatMul", "Gemm")

OPERATORS: dict[str, tuple[str, ...]] = {
    "add": ("Add",),
    "avg_pool2d": ("AveragePool",),
    "batch_matmul": ("MatMul",),
    "clip": ("Clip",),
    "concatenate": ("Concat",),
    "conv2d": ("Conv",),
    "conv2d_transpose": ("ConvTranspose",),
    "dense": _PRODUCTS,
    "depth_to_space": ("DepthToSpace",),
    "global_avg_pool2d": ("GlobalAveragePool",),
    "leaky_relu": ("LeakyRelu",),
    "matmul": _PRODUCTS,
    "max_pool2d": ("MaxPool",),
    "multiply": ("Mul",),
    "pixelshuffle": ("DepthToSpace",),
    "prelu": ("PRelu",),
    "relu": ("Relu",),
    "resize2d": ("Resize",),
    "sigmoid": ("Sigmoid",),
    "subtract": ("Sub",),
    "tanh": ("Tanh",),
    "upsampling": ("Resize",),
}


@dataclass(frozen=True, slots=True)
class Translation:
    """What the vendor's keys mean for one network.

    Attributes:
        choices: Layers that stay in fp16, by name, with the key that says so.
        notes: Numbers and names that fit nothing in this network.
    """

    choices: dict[str, LayerChoice]
    notes: tuple[str, ...]


def translate(config: QuantizeConfig, layers: Sequence[Layer]) -> Translation:
    """The layers that the keys of ``backend.quantize`` keep in fp16."""
    choices: dict[str, LayerChoice] = {}
    notes: list[str] = []
    for key, numbers, operators in (
        ("exclude_layers", config.exclude_layers, _CONVOLUTIONS + _PRODUCTS),
        ("skip_conv_layers", config.skip_conv_layers, _CONVOLUTIONS),
        ("skip_matmul_layers", config.skip_matmul_layers, _PRODUCTS),
    ):
        counted = [layer for layer in layers if layer.op_type in operators]
        for number in numbers:
            if number < len(counted):
                choices.setdefault(counted[number].name, LayerChoice("fp16", f"recipe: {key}[{number}]"))
            else:
                notes.append(f"{key} names layer {number}, but this network has {len(counted)} of them")
    kept, only = _operator_lists(config, notes)
    for layer in layers:
        if layer.kind == "float":
            continue
        if layer.op_type in kept:
            choices.setdefault(layer.name, LayerChoice("fp16", f"recipe: {kept[layer.op_type]}"))
        elif only and layer.op_type not in only and layer.kind != "movement":
            choices.setdefault(layer.name, LayerChoice("fp16", "recipe: not among quantize_operators"))
    return Translation(choices, tuple(notes))


def _operator_lists(config: QuantizeConfig, notes: list[str]) -> tuple[dict[str, str], set[str]]:
    """ONNX operators kept in fp16 (with the key's words), and the only ones quantised (empty: all)."""
    kept: dict[str, str] = {}
    only: set[str] = set()
    words = [("quantize_operators", word) for word in config.quantize_operators]
    words += [("ops_usingfp", "!" + word.lstrip("!")) for word in config.ops_usingfp]
    for key, word in words:
        operators = onnx_operators(word.lstrip("!"))
        if not operators:
            notes.append(f"{key} names {word!r}, which is no operator of this network")
        elif word.startswith("!"):
            kept.update(dict.fromkeys(operators, f"{key} {word}"))
        else:
            only.update(operators)
    return kept, only


def onnx_operators(word: str) -> tuple[str, ...]:
    """The ONNX operators that a TVM or ONNX operator name stands for; empty if it is neither."""
    plain = word.removeprefix("nn.").removeprefix("vacc_").lstrip("_").removeprefix("vacc_")
    if plain in OPERATORS:
        return OPERATORS[plain]
    known = {name for names in OPERATORS.values() for name in names}
    return (word,) if word in known else ()


def settings_from_config(
    config: QuantizeConfig, choices: dict[str, LayerChoice], *, recipe_exact: bool, threads: int = 2
) -> CalibrationSettings:
    """Calibration settings for a build YAML.

    Args:
        config: The ``backend.quantize`` section, command-line flags already merged in.
        choices: From `translate`, plus the user's own.
        recipe_exact: Do precisely what the YAML says; else improve on it where that is safe: the best
            threshold per tensor whatever `calibrate_mode` says, unless ``quantize_mode: manual``.
        threads: Threads of the float passes.
    """
    if recipe_exact:
        mode = "percentile" if config.calibrate_mode == "auto" else config.calibrate_mode
        return CalibrationSettings.recipe_exact(
            mode=mode,
            scheme=config.scheme,
            per_channel=config.per_channel,
            weight_scale=config.weight_scale,
            calibrate_range=config.calibrate_range,
            choices=choices,
            threads=threads,
        )
    return CalibrationSettings(
        mode=config.calibrate_mode if config.quantize_mode == "manual" else "auto",
        scheme=config.scheme,
        per_channel=config.per_channel,
        weight_scale=config.weight_scale,
        calibrate_range=config.calibrate_range,
        choices=choices,
        threads=threads,
    )
