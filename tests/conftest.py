"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

_CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real weights, pictures and goldens that lies beside the checkout."""
    folder = _CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs real weights and pictures in ../shared/data, which this machine does not have")
    return folder


@pytest.fixture(scope="session")
def shared_zoo() -> Path:
    """The vendor's public build YAMLs and vdsp JSONs, beside the checkout."""
    folder = _CHECKOUT.parent / "shared" / "zoo"
    if not folder.is_dir():
        pytest.skip("needs the vendor's public configs in ../shared/zoo, which this machine does not have")
    return folder


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefix of an fp16 artifact of a small network: (1, 3, 16, 24) in, the same doubled out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from vacc_deploy.build_files import resolve_build
    from vacc_deploy.compiler import CompileOptions, compile_model

    folder = tmp_path_factory.mktemp("tiny")
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[range(3), range(3), 1, 1] = 2
    shape = [1, 3, 16, 24]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["double"], name="conv", pads=[1, 1, 1, 1])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("double", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        folder / "tiny.onnx",
    )
    (folder / "tiny.yaml").write_text(
        f"name: tiny\nfrontend:\n  type: onnx\n  checkpoint: {folder}/tiny.onnx\n"
        f"  shape: {{image: {shape}}}\nbackend:\n  type: tvm_vacc\n  dtype: fp16\n"
    )
    build = resolve_build(str(folder / "tiny.yaml"))
    return compile_model(build, CompileOptions(output=folder / "deploy_weights")).prefix
