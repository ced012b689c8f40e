"""The ``backend.quantize`` section: how float becomes int8."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from vacc_deploy.config.section import Bool, Float, Int, Section, Text

CalibrateMode = Literal["max", "percentile", "kl_divergence", "mse", "auto"]
Scheme = Literal["symmetric", "asymmetric"]


def _layer_numbers(value: tuple[int, ...]) -> tuple[int, ...]:
    if any(number < 0 for number in value):
        raise PydanticCustomError("layers", "must be layer numbers counted from 0")
    return tuple(sorted(set(value)))


def _fraction(value: float) -> float:
    if not 0.5 < value <= 1.0:
        raise PydanticCustomError("fraction", "must be a fraction between 0.5 and 1, such as 0.9999")
    return value


Layers = Annotated[tuple[Int, ...], AfterValidator(_layer_numbers)]


class QuantizeConfig(Section):
    """``backend.quantize``; the first block changes numbers, the second only where the card computes.

    Attributes:
        calibrate_mode: How activation ranges are estimated.
        per_channel: Weight scales per output channel rather than per tensor.
        weight_scale: ``max`` or the next power of two above it.
        quantize_mode: ``manual`` obeys the layer lists and decides nothing by itself.
        exclude_layers: Layers that stay in fp16, counted from 0 over convolutions and matrix products.
        skip_conv_layers: Convolutions that stay in fp16, counted from 0.
        skip_matmul_layers: Matrix products that stay in fp16, counted from 0.
        calibrate_range: The fraction of values that ``percentile`` and ``kl_divergence`` keep.
        quantize_operators: Operator names; a leading ``!`` keeps that operator in fp16.
        ops_usingfp: Operators that stay in fp16.
        scheme: ``symmetric`` is the card's; ``asymmetric`` is an addition of this tool.
    """

    calibrate_mode: CalibrateMode = "percentile"
    per_channel: Bool = Field(default=True, alias="quantize_per_channel")
    weight_scale: Literal["max", "power2"] = "max"
    quantize_mode: Literal["auto", "manual", "force_auto"] | None = None
    exclude_layers: Layers = ()
    skip_conv_layers: Layers = ()
    skip_matmul_layers: Layers = ()
    calibrate_range: Annotated[Float, AfterValidator(_fraction)] | None = None
    quantize_operators: tuple[Text, ...] = ()
    ops_usingfp: tuple[Text, ...] = ()
    scheme: Scheme = "symmetric"

    calibrate_chunk_by: Int | None = None
    overflow_adaptive: Int | None = None
    quantize_dsp_ops: tuple[Text, ...] | None = None
    nearest_interpol_on_dsp: Bool | None = None
    requant_suppress: Bool | None = None
    stream_mode: Bool | None = None
    dense_special_config: tuple[Int, ...] | None = None
    output_ddr: tuple[Int, ...] | None = None


PLACEMENT_KEYS = frozenset(
    {
        "calibrate_chunk_by", "overflow_adaptive", "quantize_dsp_ops", "nearest_interpol_on_dsp",
        "requant_suppress", "stream_mode", "dense_special_config", "output_ddr",
    }
)  # fmt: skip


def keys_without_effect(given: dict[str, Any]) -> list[str]:
    """The keys of a quantize section that only say where the card computes."""
    return sorted(PLACEMENT_KEYS & set(given))
