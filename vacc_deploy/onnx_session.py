"""Opens ONNX Runtime sessions: one set of options for whatever judges or observes a network."""

from __future__ import annotations

from typing import Any

_PROVIDERS = ["CPUExecutionProvider"]


def open_session(data: bytes, threads: int | None = None, *, spare_memory: bool = False) -> Any:
    """An ONNX Runtime CPU session.

    Args:
        data: A serialised ONNX model.
        threads: Threads within an operator, where idle ones sleep instead of spinning; None leaves both to
            ONNX Runtime.
        spare_memory: Keep weights and tensors in the order of the model, not in blocks of channels. On AVX2
            SPARNetHD takes 7 % longer and 0.75 of 2.9 GB less, most of it copies from order to order.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena keeps what a run has freed; without it nothing is slower
    if spare_memory:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4  # errors are raised, nobody needs them on stderr as well
    # Without this its integer kernels saturate 16-bit sums on CPUs that lack VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=_PROVIDERS)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        # It shifts int8 weights for that, and stumbles over zero points that several layers share: then QDQ
        # stays as the float arithmetic that it is.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        session = onnxruntime.InferenceSession(data, options, providers=_PROVIDERS)
    # It keeps the file to start again on another provider, which there is not: hundreds of MB at times.
    session._model_bytes = None
    return session
