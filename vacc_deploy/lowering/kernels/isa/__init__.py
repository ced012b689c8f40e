"""The vocabulary that kernels are written in; nothing in here knows an operator.

* `vector`: constants, loads, stores, casts and lane shuffles of TIR vectors.
* `function`: opening a kernel, its arguments, registers and scratch memory.
* `planes`: addressing a `Plane`, its rows in parallel, its halo.
* `simd`: dot products and rounding of one vector instruction set (`simd_of(target)`).
* `requantize`: the one epilogue from int32 sums to uint8 or float16.
* `tile`: AMX tiles, real or spelled out in plain loops for machines without them.

Kernels ask a `Simd` or a `Tiles` for instructions and never name an LLVM intrinsic themselves, so that a
target can only get what it has: LLVM aborts the process on anything else.
"""
