"""Schedule the operators that Relax legalised itself: inline, parallelise, vectorise.

TVM emits them as plain scalar loop nests; element-wise chains and reductions become usable with three
primitives. Kernels of ours are opaque to this pass.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import tvm
from tvm import s_tir, tirx

from vacc_deploy.lowering.emit import KERNEL_PREFIX

_VECTOR = 16
_WORTH_A_THREAD = 16384  # elements; below, the fork costs more than it saves


@tvm.transform.module_pass(opt_level=0, name="ScheduleGeneric")
class _ScheduleGeneric:
    def transform_module(self, module: Any, _context: Any) -> Any:
        """Schedule every PrimFunc that is not one of our kernels."""
        updated = {}
        for variable, function in module.functions_items():
            if not isinstance(function, tirx.PrimFunc) or variable.name_hint.startswith(KERNEL_PREFIX):
                continue
            scheduled = _schedule(function)
            if scheduled is not None:
                updated[variable] = scheduled
        for variable, function in updated.items():
            module.update_func(variable, function)
        return module


def _schedule(function: Any) -> Any | None:
    """The scheduled function, or None where its structure resists (it stays scalar and correct)."""
    schedule = s_tir.Schedule(function)
    try:
        root = schedule.get_sblock("root")
        blocks = schedule.get_child_blocks(root)
        for block in blocks[:-1]:
            # A reduction cannot be inlined; it is scheduled on its own.
            with suppress(Exception):
                schedule.compute_inline(block)
        for block in schedule.get_child_blocks(root):
            _parallelise(schedule, block)
    except Exception:
        return None
    scheduled = schedule.mod["main"]
    # The schedule names its function "main"; the original is private and has no symbol of its own.
    return scheduled if "global_symbol" in function.attrs else scheduled.without_attr("global_symbol")


def _parallelise(schedule: Any, block: Any) -> None:
    """Divides the loops over a block's outputs among threads; vectorises where nothing is reduced."""
    loops = schedule.get_loops(block)
    spatial = []
    for loop, variable in zip(loops, schedule.get(block).iter_vars, strict=False):
        if variable.iter_type != tirx.IterVar.DataPar:
            break
        spatial.append(loop)
    if not spatial:
        return
    if math.prod(int(schedule.get(loop).extent) for loop in spatial) < _WORTH_A_THREAD:
        return
    fused = schedule.fuse(*spatial) if len(spatial) > 1 else spatial[0]
    if len(spatial) == len(loops):
        outer, inner = schedule.split(fused, [None, 1024])
        schedule.parallel(outer)
        _, lanes = schedule.split(inner, [None, _VECTOR])
        schedule.vectorize(lanes)
    else:
        outer, _ = schedule.split(fused, [None, 64])
        schedule.parallel(outer)


schedule_generic = _ScheduleGeneric()
