"""Between channel-major rows and pixel-major planes: transposing in registers.

A group of channels is handled as 32-bit *words*, 4 codes, 2 halves or 1 float each. W words of L pixels, one
vector per word, are a W×L matrix; perfect shuffles turn it into L×W, which is how a plane stores it. One
perfect shuffle rotates the bits of a flat index by one place, so log2(W) of them transpose, and un-shuffling
inverts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.isa.simd import simd_of
from vacc_deploy.lowering.kernels.isa.vector import Expr, cast, constant, lanes_of, let, reinterpret, type_of
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target

WORD_BYTES = 4
STRIP = 64
"""Pixels that go through a scratch strip at once."""


def elements_per_word(plane: Plane) -> int:
    """How many channels one 32-bit word of the plane holds."""
    return WORD_BYTES // np.dtype(plane.dtype).itemsize


def words_per_group(plane: Plane) -> int:
    """Words that are transposed together: a whole block, or one cache line of it."""
    return min(plane.block // elements_per_word(plane), 16)


def words_to_pixels(words: Sequence[Expr]) -> list[Expr]:
    """Transposes: vector w, lane p goes to flat position ``p · len(words) + w`` of the result."""
    rows = list(words)
    half, lanes = len(rows) // 2, lanes_of(rows[0])
    if lanes == 1:
        return rows
    merged = [position // 2 + (position % 2) * lanes for position in range(2 * lanes)]
    low, high = merged[:lanes], merged[lanes:]
    for _ in range(len(rows).bit_length() - 1):
        rows = [
            let(tirx.Shuffle([rows[i], rows[i + half]], order)) for i in range(half) for order in (low, high)
        ]
    return rows


def pixels_to_words(vectors: Sequence[Expr]) -> list[Expr]:
    """Inverse of `words_to_pixels`."""
    rows = list(vectors)
    half, lanes = len(rows) // 2, lanes_of(rows[0])
    if lanes == 1:
        return rows
    even, odd = list(range(0, 2 * lanes, 2)), list(range(1, 2 * lanes, 2))
    for _ in range(len(rows).bit_length() - 1):
        pairs = [(rows[2 * i], rows[2 * i + 1]) for i in range(half)]
        rows = [let(tirx.Shuffle(list(pair), order)) for order in (even, odd) for pair in pairs]
    return rows


def join_word(elements: Sequence[Expr], dtype: str) -> Expr:
    """Packs lanes of 4 codes (uint32), 2 halves or 1 float into uint32 words, the first one lowest."""
    lanes = lanes_of(elements[0])
    words = [word_bits(element, dtype) for element in elements]
    bits = 32 // len(elements)
    joined = words[0]
    for position, word in enumerate(words[1:], start=1):
        joined = joined | (word << constant(bits * position, "uint32", lanes))
    return joined


def word_bits(element: Expr, dtype: str) -> Expr:
    """The bits of one stored element per lane, as uint32."""
    lanes = lanes_of(element)
    if dtype == "float32":
        return reinterpret(element, type_of("uint32", lanes))
    if dtype == "float16":
        element = reinterpret(element, type_of("uint16", lanes))
    return cast(element, "uint32")


def split_word(word: Expr, dtype: str, position: int) -> Expr:
    """Element `position` of uint32 words: uint32 codes, float16 or float32 lanes."""
    lanes = lanes_of(word)
    if dtype == "float32":
        return reinterpret(word, type_of("float32", lanes))
    bits = 8 if dtype == "uint8" else 16
    part = word >> constant(bits * position, "uint32", lanes) if position else word
    if dtype == "uint8":
        return part & constant(255, "uint32", lanes)
    return reinterpret(cast(part, "uint16"), type_of("float16", lanes))


def word_places(words: int, lanes: int) -> list[tuple[int, int]]:
    """(pixel, first word) of every transposed vector of a group of `words` words and `lanes` pixels."""
    return [divmod(vector * lanes, words) for vector in range(words)]


def pixel_lanes(width: int, target: Target) -> int:
    """Pixels per vector: what the target holds, less for pictures narrower than that."""
    lanes = simd_of(target).lanes
    while lanes > width:
        lanes //= 2
    return lanes


def each_tile(pixels: int, lanes: int, body: Callable[[Expr], None]) -> None:
    """Emits ``body(first pixel)`` for vectors that cover `pixels` ≥ `lanes` pixels; the last may overlap."""
    if pixels // lanes == 1:
        body(0)
    else:
        with T.serial(0, pixels // lanes) as tile:
            body(tile * lanes)
    if pixels % lanes:
        body(pixels - lanes)


def each_strip(width: int, lanes: int, body: Callable[[Expr, int], None]) -> None:
    """Emits ``body(x, pixels)`` for strips that cover a row; the last one may overlap its neighbour."""
    if width <= STRIP:
        body(0, width)
        return
    with T.serial(0, width // STRIP) as i:
        body(i * STRIP, STRIP)
    if width % STRIP:
        rest = max(width % STRIP, lanes)
        body(width - rest, rest)
