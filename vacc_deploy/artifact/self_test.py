"""The test that an artifact carries in ``mod.vectors``: an input, and what ought to come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Arrays of one inference, in the order of the network's inputs and outputs.

    In the file they are called ``input_0`` …, ``output_0`` …, ``float_0`` ….

    Attributes:
        input: What goes in, in the inputs' own dtypes.
        output: What the artifact's code made of it, bit for bit; empty if the compiling CPU lacked features.
        float: What the float model makes of it; empty where nothing was stored.
    """

    input: tuple[Array, ...] = ()
    output: tuple[Array, ...] = ()
    float: tuple[Array, ...] = ()

    def to_arrays(self) -> dict[str, Array]:
        """The content of ``mod.vectors``."""
        return {
            f"{kind.name}_{index}": array
            for kind in fields(self)
            for index, array in enumerate(getattr(self, kind.name))
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> SelfTest:
        """The record that `to_arrays` wrote; names it does not know are left out."""
        return cls(**{kind.name: tuple(_numbered(arrays, kind.name)) for kind in fields(cls)})


def _numbered(arrays: Mapping[str, Array], kind: str) -> Iterator[Array]:
    index = 0
    while (name := f"{kind}_{index}") in arrays:
        yield arrays[name]
        index += 1
