"""The operators that integers can compute, by what they do to codes.

The quantiser asks these sets which layers it may put between QuantizeLinear and DequantizeLinear, and the
reference and the kernels ask them what to do there; so they cannot disagree.
"""

from __future__ import annotations

MAC_OPS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
"""Sums of products with constant weights."""

ARITHMETIC_OPS = frozenset({"Add", "Sub", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Resize"})
"""Arithmetic on operands whose scales may differ."""

TABLE_OPS = frozenset({"Relu", "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid", "Tanh"})
"""Functions of one value: a table of 256 codes."""

MOVEMENT_OPS = frozenset(
    {
        "DepthToSpace",
        "Flatten",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Codes that are moved or chosen, and keep their scale."""

INTEGER_OPS = MAC_OPS | ARITHMETIC_OPS | TABLE_OPS | MOVEMENT_OPS

FUSES_ACTIVATION = MAC_OPS | {"Add", "Sub", "Mul"}
"""What takes the activation behind it into its own rounding."""
