"""Compile a Relax module into a shared object: Relax plans memory, LLVM writes the code, the linker links."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tvm
from tvm import relax

from vacc_deploy.errors import ModelError
from vacc_deploy.lowering.passes.cpu_pipeline import CPU_PIPELINE
from vacc_deploy.lowering.passes.schedule_generic import schedule_generic
from vacc_deploy.lowering.target import Target

_CONFIG = {
    # Common subexpressions are LLVM's to find: TVM's own search takes a third of the compile time and the
    # code is no faster for it.
    "tirx.disable_cse_tir": True,
    # Every kernel would check its arguments' shapes and types in code as long as its own. Only `main` calls
    # kernels, with tensors of shapes that it fixes, and `main` checks what it is called with itself.
    "tirx.disable_assert": True,
}


def build_library(module: Any, target: Target, path: Path) -> None:
    """Write `module` as a Relax VM shared object for `target` to `path`.

    Raises:
        ModelError: TVM cannot compile an operator of the network, or there is no linker.
    """
    llvm = tvm_target(target)
    with llvm, tvm.transform.PassContext(opt_level=3, config=_CONFIG):
        try:
            executable = tvm.compile(_stages()(module), llvm, relax_pipeline=None, tir_pipeline=CPU_PIPELINE)
        except (RuntimeError, ValueError, TypeError) as error:  # TVM's own errors are RuntimeErrors
            raise ModelError(
                "an operator of the network cannot be compiled",
                why=str(error).strip().splitlines()[0],
                hint="vdeploy check MODEL lists unsupported operators; keep this one out of the network",
            ) from error
    executable.export_library(str(path), **_linker())


def tvm_target(target: Target) -> Any:
    """LLVM's description of a target.

    Level 2 of optimisation makes code as fast as level 3: kernels are unrolled and vectorised already. What 3
    adds, copies of loops for either outcome of a condition above all, only takes time to compile.
    """
    description: dict[str, Any] = {"kind": "llvm", "mcpu": target.mcpu, "opt-level": 2}
    if target.mattr:
        description["mattr"] = list(target.mattr)
    return tvm.target.Target(description)


def _stages() -> Any:
    """Relax's stages from operators to VM code, ours among them.

    This is `relax.pipeline.default_build_pipeline` with fusion in front and without
    RewriteDataflowReshape, which insists that every one-argument PrimFunc is a schedulable block.
    """
    return tvm.transform.Sequential(
        [
            relax.backend.DispatchSortScan(),
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FoldConstant(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
            relax.transform.DeadCodeElimination(["main"]),
            schedule_generic,
            relax.transform.ToNonDataflow(),
            relax.transform.RemovePurityChecking(),
            relax.transform.CallTIRRewrite(),
            relax.transform.StaticPlanBlockMemory(),
            relax.transform.LowerAllocTensor(),
            relax.transform.KillAfterLastUse(),
            relax.transform.LowerRuntimeBuiltin(),
            relax.transform.ComputePrimValue(),
            relax.transform.VMShapeLower(),
            relax.transform.AttachGlobalSymbol(),
        ]
    )


def _linker() -> dict[str, Any]:
    """How to link: the host's g++, or the `ziglang` package where there is none."""
    if shutil.which("g++") or shutil.which("c++"):
        return {}
    if find_spec("ziglang") is not None:
        from tvm.support import cc

        return {"fcompile": cc.cross_compiler(sys.executable, options=["-m", "ziglang", "cc"])}
    raise ModelError(
        "no linker was found to write the artifact's code",
        why="neither g++ nor the ziglang package is installed",
        hint="install a C++ toolchain, or: pip install ziglang",
    )
