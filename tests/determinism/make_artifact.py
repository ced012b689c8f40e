"""Compile a small int8 network in this process, into the folder named on the command line.

    python -m tests.determinism.make_artifact FOLDER

Prints a digest per file that has to be the same wherever, whenever and however this runs.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir

from tests.networks.generator import random_network

SEEDS = (1, 8, 11)


def write_inputs(folder: Path) -> Path:
    """A build YAML, an ONNX model and calibration arrays; returns the YAML."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {
        "w0": random.normal(size=(8, 3, 3, 3)) * 0.2,
        "w1": random.normal(size=(8, 8, 3, 3)) * 0.1,
        "w2": random.normal(size=(3, 16, 1, 1)) * 0.2,
    }
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["a"], name="first", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
        helper.make_node("Conv", ["b", "w1"], ["c"], name="second", pads=[1] * 4),
        helper.make_node("Concat", ["b", "c"], ["d"], name="both", axis=1),
        helper.make_node("Conv", ["d", "w2"], ["out"], name="last"),
    ]
    shape = [1, 3, 16, 20]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        folder / "small.onnx",
    )
    (folder / "arrays").mkdir(exist_ok=True)
    for index in range(3):
        np.savez(folder / "arrays" / f"{index}.npz", image=random.random(shape).astype(np.float32))
    (folder / "datalist.txt").write_text("".join(f"{folder}/arrays/{index}.npz\n" for index in range(3)))
    (folder / "small.yaml").write_text(
        f"name: small\nfrontend:\n  type: onnx\n  checkpoint: {folder}/small.onnx\n"
        f"  shape: {{image: {shape}}}\nbackend:\n  type: tvm_vacc\n  dtype: int8\n"
        "  quantize: {calibrate_mode: max}\n"
        f"dataset:\n  type: tvm\n  path: {folder}/datalist.txt\n  sampler: {{suffix: npz, get_data_num: 3}}\n"
    )
    return folder / "small.yaml"


def compile_here(folder: Path) -> Path:
    """The artifact's prefix."""
    from vacc_deploy.build_files import resolve_build
    from vacc_deploy.compiler import CompileOptions, compile_model

    options = CompileOptions(target="generic", output=folder / "deploy", recipe_exact=True)
    return compile_model(resolve_build(str(write_inputs(folder))), options).prefix


def main() -> None:
    """Print ``digest name`` lines."""
    prefix = compile_here(Path(sys.argv[1]))
    for name in ("mod.json", "mod.params", "mod.vectors", "quantized.onnx", "calibration.json"):
        print(hashlib.sha256((prefix.parent / name).read_bytes()).hexdigest(), name)
    for seed in SEEDS:
        model = ir.to_proto(random_network(seed).quantized).SerializeToString(deterministic=True)
        print(hashlib.sha256(model).hexdigest(), f"network {seed}")


if __name__ == "__main__":
    main()
