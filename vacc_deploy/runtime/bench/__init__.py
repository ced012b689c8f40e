"""The benchmark behind `vdeploy bench`: vamp's work on the emulated run stream."""

from __future__ import annotations

from vacc_deploy.runtime.bench.processes import run_bench
from vacc_deploy.runtime.bench.settings import BenchSettings, Shapes

__all__ = ["BenchSettings", "Shapes", "run_bench"]
