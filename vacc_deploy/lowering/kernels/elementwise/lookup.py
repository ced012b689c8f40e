"""Looking up 64 codes in a table of 256 codes at once.

The table is a kernel parameter of 256 bytes. Which instructions look it up depends on the target:

* AVX512-VBMI (Sapphire Rapids, Zen 4): two byte permutations of 128 entries each, and a blend;
* other AVX-512: the same with 16-bit permutations, which fetch pairs of entries, for even and odd codes;
* everything else: one load per code.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    concat,
    constant,
    intrinsic,
    lanes_of,
    let,
    load,
    reinterpret,
    take,
)
from vacc_deploy.lowering.target import Isa, Target

ENTRIES = 256


def has_byte_permutation(target: Target) -> bool:
    """Whether the target has AVX512-VBMI."""
    return target.isa is Isa.AMX or "+avx512vbmi" in target.mattr


@dataclass(frozen=True, slots=True)
class Lookup:
    """One table, held in registers where the target can."""

    quarters: tuple[Expr, ...]  # of 64 entries; empty where codes are looked up one by one
    table: Buffer
    start: Expr
    bytewise: bool

    def vector(self, codes: Expr) -> Expr:
        """The entries of a vector of uint8 codes of any length."""
        lanes = lanes_of(codes)
        codes = let(codes)
        if not self.quarters:
            return concat([self.one(take(codes, [lane])) for lane in range(lanes)])
        if lanes < 64:
            padding = constant(0, "uint8", lanes)
            return take(self.vector(concat([codes] + [padding] * (64 // lanes - 1))), range(lanes))
        if self.bytewise:
            return self._by_bytes(codes)
        words = let(reinterpret(codes, "uint16x32"))
        low = self._by_words(let(words & constant(255, "uint16", 32)))
        high = self._by_words(let(words >> constant(8, "uint16", 32)))
        return reinterpret(low | (high << constant(8, "uint16", 32)), "uint8x64")

    def _by_bytes(self, codes: Expr) -> Expr:
        name = "llvm.x86.avx512.vpermi2var.qi.512"
        first, second = (
            reinterpret(intrinsic("int8x64", name, a, reinterpret(codes, "int8x64"), b), "uint8x64")
            for a, b in (self.quarters[:2], self.quarters[2:])
        )
        return T.Select(codes < constant(128, "uint8", 64), first, second)

    def _by_words(self, codes: Expr) -> Expr:
        """Entries of 32 codes in 16-bit lanes."""
        name = "llvm.x86.avx512.vpermi2var.hi.512"
        pair = let(reinterpret(codes >> constant(1, "uint16", 32), "int16x32"))
        first, second = (
            reinterpret(intrinsic("int16x32", name, a, pair, b), "uint16x32")
            for a, b in (self.quarters[:2], self.quarters[2:])
        )
        chosen = T.Select(codes < constant(128, "uint16", 32), first, second)
        odd = (codes & constant(1, "uint16", 32)) << constant(3, "uint16", 32)
        return (chosen >> odd) & constant(255, "uint16", 32)

    def one(self, code: Expr) -> Expr:
        """The entry of one code."""
        return self.table[self.start + cast(code, "int32")]


def load_table(target: Target, table: Buffer, start: Expr = 0) -> Lookup:
    """Reads the table of 256 codes at element `start` of a flat uint8 buffer."""
    bytewise = has_byte_permutation(target)
    if target.isa not in (Isa.AMX, Isa.VNNI):
        return Lookup((), table, start, bytewise)
    kind = "int8x64" if bytewise else "int16x32"
    quarters = tuple(
        let(reinterpret(load(table, (start + offset,), 64), kind)) for offset in range(0, ENTRIES, 64)
    )
    return Lookup(quarters, table, start, bytewise)
