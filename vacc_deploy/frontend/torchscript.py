"""TorchScript to ONNX: the only module outside ``export/`` that imports torch.

Run as ``python -m vacc_deploy.frontend.torchscript FILE OUT SHAPES`` it converts one file, so that torch's
memory, and whatever a foreign file makes torch do, stay in a process of their own.
"""

from __future__ import annotations

import io
import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch

from vacc_deploy.frontend.naming import name_after_weights

OPSET = 17
METADATA_KEY = "vdeploy"
METADATA_FILE = "vdeploy.json"  # the same document as an extra file inside the TorchScript archive


def input_names(module: torch.jit.ScriptModule) -> list[str]:
    """Names of the arguments of ``forward``, without ``self``."""
    schema = module._c._get_method("forward").schema
    return [argument.name for argument in schema.arguments[1:]]


def fix_sizes(module: torch.jit.ScriptModule, examples: Sequence[torch.Tensor]) -> None:
    """Replace every computed integer of the module's graph by its value for the examples, in place.

    Sizes are static here, but a traced graph computes them anyway, and the exporter refuses a convolution
    whose weight was reshaped to a computed size.  The graph is run once, returning all its integers.
    """
    graph = module.graph
    torch._C._jit_pass_inline(graph)
    computed = _integers(graph)
    if not computed:
        return
    probe = graph.copy()
    values = _integers(probe)
    while list(probe.outputs()):
        probe.eraseOutput(0)
    listing = probe.create("prim::ListConstruct", values, 1)
    listing.output().setType(torch._C.ListType.ofInts())
    probe.appendNode(listing)
    probe.registerOutput(listing.output())
    torch._C._jit_pass_dce(probe)
    run = torch._C._create_function_from_graph("sizes", probe)
    for value, number in zip(computed, run(module._c, *examples), strict=True):
        constant = graph.create("prim::Constant", [], 1)
        constant.i_("value", int(number))
        constant.output().setType(torch._C.IntType.get())
        graph.prependNode(constant)
        value.replaceAllUsesWith(constant.output())
    torch._C._jit_pass_dce(graph)


def _integers(graph: torch._C.Graph) -> list[torch._C.Value]:
    """The integers that the graph's top level computes from sizes."""
    return [
        node.output()
        for node in graph.nodes()
        if node.kind() in ("aten::size", "aten::Int") and str(node.output().type()) == "int"
    ]


def to_onnx(
    module: torch.jit.ScriptModule,
    shapes: Sequence[Sequence[int]],
    names: Sequence[str],
    output_names: Sequence[str] = (),
) -> onnx.ModelProto:
    """Convert a traced or scripted module at fixed input shapes.

    The older exporter is used because it alone reads TorchScript and names nodes by module path, which
    is how people refer to layers.

    Args:
        module: In evaluation mode.
        shapes: One shape per input; inputs are float32.
        names: One name per input.
        output_names: Names of the outputs; empty lets the exporter choose.
    """
    # Values are irrelevant to the export but must not divide by zero; nothing random.
    examples = tuple(torch.full(tuple(shape), 0.5) for shape in shapes)
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecation notes about the exporter that we need
        fix_sizes(module, examples)
        torch.onnx.export(
            module,
            examples,
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=list(names),
            output_names=list(output_names) or None,
            do_constant_folding=True,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    name_after_weights(model)
    return model


def load_module(path: Path) -> tuple[torch.jit.ScriptModule, str]:
    """A TorchScript file as a frozen float32 module on the CPU, and its metadata document or ``""``."""
    extra: dict[str, str | bytes] = {METADATA_FILE: ""}
    module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
    module.eval().float()  # networks are saved in half precision, too; their inputs are float32 here
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    document = extra[METADATA_FILE]
    return module, document.decode() if isinstance(document, bytes) else document


def convert_file(source: Path, target: Path, inputs: Mapping[str, Sequence[int]]) -> None:
    """Convert the TorchScript file `source` to the ONNX file `target`.

    Args:
        source: TorchScript.
        target: Receives the ONNX.
        inputs: Input name → shape; matched to the arguments by name, or by position if no name fits.

    Raises:
        ValueError: The number of inputs differs.
    """
    module, document = load_module(source)
    own = input_names(module)
    if len(inputs) != len(own):
        names = ", ".join(own)
        raise ValueError(f"the network takes {len(own)} inputs ({names}), {len(inputs)} shapes were given")
    known = json.loads(document) if document else {}
    outputs: list[str] = list(known.get("outputs", ()))
    by_name = all(name in inputs for name in own)
    order = own if by_name else list(inputs)
    model = to_onnx(module, [inputs[name] for name in order], order, outputs)
    if document:
        onnx.helper.set_model_props(model, {METADATA_KEY: document})
    onnx.save_model(model, target)


def main(arguments: Sequence[str]) -> int:
    """Entry point of the converting process: FILE OUT SHAPES-AS-JSON."""
    torch.set_num_threads(1)
    source, target, shapes = arguments
    try:
        convert_file(Path(source), Path(target), json.loads(shapes))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
