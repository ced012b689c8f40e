"""The CPUs that an artifact can be compiled for, and what each may use.

Emitting an instruction that LLVM's target lacks aborts the whole process, so a `Target` is the only way
to ask for one: kernels look at `Target.isa`, never at the running machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vacc_deploy.cpu import cpu_features
from vacc_deploy.errors import ConfigError


class Isa(str, Enum):
    """The kernel families, fastest first."""

    AMX = "amx"
    VNNI = "vnni"
    AVX2 = "avx2"
    PORTABLE = "portable"


@dataclass(frozen=True, slots=True)
class Target:
    """A named CPU level: which kernels to emit, how to tell LLVM, and what the machine must have."""

    name: str
    isa: Isa
    mcpu: str
    mattr: tuple[str, ...]
    requires: frozenset[str]  # flags of /proc/cpuinfo

    def runs_on(self, features: frozenset[str]) -> bool:
        """Whether a machine with these flags can run the code."""
        return self.requires <= features


_AVX2 = frozenset({"avx2", "fma", "f16c", "bmi2"})
_VNNI = _AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}
_AMX = _VNNI | {"amx_tile", "amx_int8", "amx_bf16", "avx512_bf16"}

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target("sapphirerapids", Isa.AMX, "sapphirerapids", (), _AMX),
        # "v4" here means AVX-512 with VNNI: all server parts since 2019 and every AMD part with AVX-512.
        Target("x86-64-v4", Isa.VNNI, "x86-64-v4", ("+avx512vnni",), _VNNI),
        Target("x86-64-v3", Isa.AVX2, "x86-64-v3", (), _AVX2),
        Target("generic", Isa.PORTABLE, "x86-64", (), frozenset()),
    )
}


def resolve_target(name: str) -> Target:
    """The target called `name`; ``native`` is the fastest one that this machine runs.

    Raises:
        ConfigError: There is no target of that name.
    """
    if name == "native":
        return next(target for target in TARGETS.values() if target.runs_on(cpu_features()))
    if name not in TARGETS:
        raise ConfigError(
            f"unknown target '{name}'", where="--target", hint=f"use native or one of {', '.join(TARGETS)}"
        )
    return TARGETS[name]
