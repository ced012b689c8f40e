"""Float and quantised models in, compiled code out: what to compute with which kernel, and the kernels.

The one package that needs TVM's compiler.
"""

from vacc_deploy.without_torch import without_torch

with without_torch():
    import tvm  # noqa: F401  (whichever module needs it finds it loaded)
