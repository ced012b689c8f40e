"""The ``backend`` section: precision, quantisation, and where the card puts things."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from vacc_deploy.config.quantize import QuantizeConfig
from vacc_deploy.config.section import Bool, Int, Section, Text

Dtype = Literal["fp16", "int8"]


def _layout(value: Any) -> Any:
    """``[0:"YX"]`` reaches us as the text ``0:"YX"``; the quotes mean nothing."""
    return (
        [item.replace('"', "") if isinstance(item, str) else item for item in value]
        if isinstance(value, list)
        else value
    )


class CompileConfig(Section):
    """``backend.compile``: placement on the card.  Nothing here changes the function that is computed."""

    model_config = ConfigDict(extra="allow")

    attention_split_num: Int | None = None
    cluster_mode: Int | None = None
    data_transport_mode: Int | None = None
    data_type: Int | None = None
    dense_special_config: tuple[Int, ...] | None = None
    enable_dense_to_matmul: Bool | None = None
    enable_float_to_half: Bool | None = None
    enable_graph_partition: Bool | None = None
    enable_groundingdino_axis_change: Bool | None = None
    enable_groundingdino_cut_layernorm: Bool | None = None
    enable_inputs_align: Bool | None = None
    enable_transform_vision_language_pan: Bool | None = None
    ffn_split_num: Int | None = None
    fullatt_block_indexes: tuple[Int, ...] | None = None
    gather_data_vccl_dsp_enable: Bool | None = None
    llm_build: Bool | None = None
    mem_inplace: Bool | None = None
    nearest_interpol_on_dsp: Bool | None = None
    opt_level: Int | None = None
    output_ddr: tuple[Int, ...] | None = None
    output_layout: Annotated[tuple[Text, ...], BeforeValidator(_layout)] | None = None
    partition_convergence_dsp_enable: Bool | None = None
    real_output_shape: tuple[tuple[Int, ...], ...] | None = None
    split_convergence_points: tuple[Text, ...] | None = None
    stream_mode: Bool | None = None
    switch_lhs_rhs: Bool | None = None


class DynamicConfig(Section):
    """``backend.dynamic_params`` of the ELIC networks."""

    model_config = ConfigDict(extra="allow")

    is_elic_gs: Bool | None = None
    enable_graph_partition: Bool | None = None


class BackendConfig(Section):
    """``backend``.

    Attributes:
        dtype: What the convolutions compute in.
        quantize: None unless the file has the section; ignored for fp16.
    """

    type: Literal["tvm_vacc"] = "tvm_vacc"
    dtype: Dtype
    quantize: QuantizeConfig | None = None
    placement: CompileConfig | None = Field(default=None, alias="compile")
    merge_params: Bool | None = None
    remove_params: Bool | None = None
    gather_data_vccl_dsp_enable: Bool | None = None
    dynamic_params: DynamicConfig | None = None
