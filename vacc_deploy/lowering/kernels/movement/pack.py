"""Plain NCHW tensors into planes, quantised on the way where the plane holds codes.

    q = clamp(round_half_even(x / s) + z)        ONNX QuantizeLinear: a true float32 division

One row of one group of channels at a time: the channels' rows are converted and packed into 32-bit words in a
scratch strip, which is then transposed into pixels. Both sides touch memory in whole cache lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.codes import pack_codes, representative, to_codes
from vacc_deploy.lowering.kernels.isa.function import kernel_function, scratch
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
    lanes_of,
    load,
    reinterpret,
    splat,
    store,
    type_of,
)
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement.transpose import (
    STRIP,
    each_strip,
    each_tile,
    elements_per_word,
    join_word,
    pixel_lanes,
    word_places,
    words_per_group,
    words_to_pixels,
)
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane, Plain, declare, plain_of, written_rows
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class PackSpec:
    """Plain tensor → plane; a uint8 plane is quantised by a scale given to `build`.

    Attributes:
        output: The plane.
        dtype: Element type of the plain tensor.
        shape: Its shape, if not (N, C, H, W): (N, C) for a plane of one pixel.
    """

    output: Plane
    dtype: Literal["float32", "float16"] = "float32"
    shape: tuple[int, ...] | None = None

    @property
    def plain(self) -> Plain:
        """The plain argument.

        Raises:
            ModelError: Its size is not the plane's.
        """
        return plain_of(self.output, self.dtype, self.shape)


@cache
def emit(spec: PackSpec, target: Target) -> Any:
    """``pack(plain, scale (1,), codes, plane)``, without the numbers of codes for float planes."""
    plane = spec.output
    with kernel_function("pack") as function:
        source, scale, output = declare(
            plain=spec.plain,
            scale=Plain((1,), "float32") if plane.dtype == "uint8" else None,
            output=plane,
        )
        with written_rows(output) as (n, block, y):
            words = words_per_group(plane)
            strip = scratch((words, STRIP), "uint32")
            with T.serial(0, plane.block // elements_per_word(plane) // words) as group:
                start = group * words
                _pack_group(spec, target, source, scale, output, strip, (n, block, y), start)
    return function.get()


def _pack_group(
    spec: PackSpec,
    target: Target,
    source: Buffer,
    scale: Buffer | None,
    output: FlatPlane,
    strip: Buffer,
    row: tuple[Expr, Expr, Expr],
    start: Expr,
) -> None:
    """One row of the words from `start` on."""
    plane = spec.output
    words = words_per_group(plane)
    lanes = pixel_lanes(plane.width, target)

    def strip_of(x: Expr, pixels: int) -> None:
        with T.serial(0, words) as word:

            def fill(p: Expr, word: Expr = word) -> None:
                parts = _elements(spec, source, scale, output, row, start + word, x + p, lanes)
                store(strip, (word, p), join_word(parts, plane.dtype))

            each_tile(pixels, lanes, fill)

        def drain(p: Expr) -> None:
            vectors = [load(strip, (word, p), lanes) for word in range(words)]
            _store_pixels(output, row, x + p, start, vectors)

        each_tile(pixels, lanes, drain)

    each_strip(plane.width, lanes, strip_of)


def _elements(
    spec: PackSpec,
    source: Buffer,
    scale: Buffer | None,
    output: FlatPlane,
    row: tuple[Expr, Expr, Expr],
    word: Expr,
    x: Expr,
    lanes: int,
) -> list[Expr]:
    """The elements of one word of `lanes` pixels, ready for `join_word`."""
    plane = spec.output
    n, block, y = row
    per_word = elements_per_word(plane)
    elements = []
    for position in range(per_word):
        channel = block * plane.block + word * per_word + position
        padded = plane.channels % plane.block != 0
        # A channel that does not exist reads the last one and is replaced by the fill value.
        real = T.min(channel, plane.channels - 1) if padded else channel
        at = ((n * plane.channels + real) * plane.height + y) * plane.width + x
        value = cast(load(source, (at,), lanes), "float32")
        if scale is not None:
            value = cast(to_codes(value / splat(scale[0], lanes), output), "uint32")
        else:
            value = cast(value, plane.dtype)
        if padded:
            element = "uint32" if plane.dtype == "uint8" else plane.dtype
            filling = cast(output.filling(lanes), element)
            value = T.Select(splat(channel < plane.channels, lanes), value, filling)
        elements.append(value)
    return elements


def _store_pixels(
    output: FlatPlane, row: tuple[Expr, Expr, Expr], x: Expr, start: Expr, words: list[Expr]
) -> None:
    """Writes words, one vector per word and a lane per pixel, to the pixels from `x` on."""
    plane = output.plane
    per_word, lanes = elements_per_word(plane), lanes_of(words[0])
    places = word_places(len(words), lanes)
    for (pixel, word), vector in zip(places, words_to_pixels(words), strict=True):
        at = output.at(*row, x + pixel) + (start + word) * per_word
        store(output.buffer, (at,), reinterpret(vector, type_of(plane.dtype, per_word * lanes)))


def pack(spec: PackSpec, target: Target, scale: float | None = None) -> dict[str, np.ndarray]:
    """The parameters `scale` and `codes`, needed for uint8 planes and only there."""
    return {} if scale is None else {"scale": np.array([scale], np.float32), **pack_codes(spec.output)}


def build(spec: PackSpec, target: Target, scale: float | None = None) -> Kernel:
    """The kernel that turns a plain tensor into `spec.output`.

    Args:
        spec: Geometry.
        target: CPU level.
        scale: Quantisation scale of a uint8 plane.
    """
    return Kernel(emit(representative(spec), target), pack(spec, target, scale))
