"""What `vdeploy eval` and `run` must not load just to start."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "tvm", "onnxruntime", "onnx", "skimage", "scipy")
MODULES = ("vacc_deploy.evaluate", "vacc_deploy.runtime.vdsp", "vacc_deploy.data", "vacc_deploy.cli.eval")


def test_no_heavy_module_is_imported() -> None:
    code = (
        f"import sys, {', '.join(MODULES)}; from vacc_deploy.evaluate import protocols; protocols(); "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
