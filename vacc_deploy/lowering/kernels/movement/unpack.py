"""Planes into plain NCHW tensors, dequantised on the way where the plane holds codes.

    x = (q − z) · s        ONNX DequantizeLinear in float32, then rounded to the tensor's type

The mirror image of `pack`: pixels are transposed into rows of 32-bit words in a scratch strip, and each
channel's row is taken out of the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from tvm.tirx.script import builder as T

from vacc_deploy.lowering.kernels.codes import pack_codes, representative
from vacc_deploy.lowering.kernels.isa.function import kernel_function, scratch
from vacc_deploy.lowering.kernels.isa.vector import (
    Buffer,
    Expr,
    cast,
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
    pixel_lanes,
    pixels_to_words,
    split_word,
    word_places,
    words_per_group,
)
from vacc_deploy.lowering.kernels.plane_rows import FlatPlane, Plain, declare, plain_of
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class UnpackSpec:
    """Plane → plain tensor; a uint8 plane is dequantised by a scale given to `build`.

    Attributes:
        input: The plane.
        dtype: Element type of the plain tensor.
        shape: Its shape, if not (N, C, H, W): (N, C) for a plane of one pixel.
    """

    input: Plane
    dtype: Literal["float32", "float16"] = "float32"
    shape: tuple[int, ...] | None = None

    @property
    def plain(self) -> Plain:
        """The plain argument.

        Raises:
            ModelError: Its size is not the plane's.
        """
        return plain_of(self.input, self.dtype, self.shape)


@cache
def emit(spec: UnpackSpec, target: Target) -> Any:
    """``unpack(plane, scale (1,), codes, plain)``, without the numbers of codes for float planes."""
    plane = spec.input
    with kernel_function("unpack") as function:
        source, scale, output = declare(
            input=plane,
            scale=Plain((1,), "float32") if plane.dtype == "uint8" else None,
            plain=spec.plain,
        )
        with T.parallel(0, plane.batch * plane.blocks * plane.height) as i:
            line, y = T.floordiv(i, plane.height), T.floormod(i, plane.height)
            row = (T.floordiv(line, plane.blocks), T.floormod(line, plane.blocks), y)
            words = words_per_group(plane)
            strip = scratch((words, STRIP), "uint32")
            with T.serial(0, plane.block // elements_per_word(plane) // words) as group:
                start = group * words
                _unpack_group(spec, target, source, scale, output, strip, row, start)
    return function.get()


def _unpack_group(
    spec: UnpackSpec,
    target: Target,
    source: FlatPlane,
    scale: Buffer | None,
    output: Buffer,
    strip: Buffer,
    row: tuple[Expr, Expr, Expr],
    start: Expr,
) -> None:
    """One row of the words from `start` on."""
    plane = spec.input
    words, lanes = words_per_group(plane), pixel_lanes(plane.width, target)
    per_word = elements_per_word(plane)
    n, block, y = row

    def strip_of(x: Expr, pixels: int) -> None:
        def fill(p: Expr) -> None:
            vectors = []
            for pixel, word in word_places(words, lanes):
                at = source.at(*row, x + p + pixel) + (start + word) * per_word
                elements = load(source.buffer, (at,), per_word * lanes)
                vectors.append(reinterpret(elements, type_of("uint32", lanes)))
            for word, vector in enumerate(pixels_to_words(vectors)):
                store(strip, (word, p), vector)

        each_tile(pixels, lanes, fill)
        with T.serial(0, words) as word:
            for position in range(per_word):
                channel = block * plane.block + (start + word) * per_word + position
                at = ((n * plane.channels + channel) * plane.height + y) * plane.width + x

                def drain(p: Expr, word: Expr = word, position: int = position, at: Expr = at) -> None:
                    element = split_word(load(strip, (word, p), lanes), plane.dtype, position)
                    store(output, (at + p,), _real(element, source, scale, spec.dtype, lanes))

                if plane.channels % plane.block:
                    with T.If(channel < plane.channels), T.Then():
                        each_tile(pixels, lanes, drain)
                else:
                    each_tile(pixels, lanes, drain)

    each_strip(plane.width, lanes, strip_of)


def _real(element: Expr, source: FlatPlane, scale: Buffer | None, dtype: str, lanes: int) -> Expr:
    """An element of a plane as the plain tensor stores it."""
    if scale is None or source.codes is None:
        return cast(cast(element, "float32"), dtype)
    centred = cast(element, "int32") - splat(source.codes.zero_point, lanes)
    return cast(cast(centred, "float32") * splat(scale[0], lanes), dtype)


def pack(spec: UnpackSpec, target: Target, scale: float | None = None) -> dict[str, np.ndarray]:
    """The parameters `scale` and `codes`, needed for uint8 planes and only there."""
    return {} if scale is None else {"scale": np.array([scale], np.float32), **pack_codes(spec.input)}


def build(spec: UnpackSpec, target: Target, scale: float | None = None) -> Kernel:
    """The kernel that turns `spec.input` into a plain tensor; `scale` dequantises a uint8 plane."""
    return Kernel(emit(representative(spec), target), pack(spec, target, scale))
