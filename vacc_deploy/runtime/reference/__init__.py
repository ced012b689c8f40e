"""The integer semantics of every quantised operator, in NumPy: what all kernels must equal, bit for bit.

Tensors are plain NCHW arrays of int8 or uint8 codes. `fixed_point` owns rounding; one file per
operator family holds the arithmetic; `graph` runs a whole quantised ONNX network with them.
"""
