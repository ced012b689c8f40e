"""The kernels: one module per operator family, all in TIR, all for every target.

Every module offers a frozen ``Spec`` (geometry only, so that equal layers share code), ``emit(spec, target)``
(the ``PrimFunc``), ``pack(…)`` (its constants, in argument order) and ``build(…)`` (both as a `Kernel`).
What a layer adds to its spec, weights and scales, goes to the last two only. Kernels are written in the
vocabulary of `isa`; docs/performance.md shows how one is added.
"""
