"""`vsx.CustomOperator`: the card runs an ELF file on its DSP; here a Python function stands in for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import ConfigError, RunError
from vacc_deploy.vsx.enums import TypeFlag
from vacc_deploy.vsx.errors import UnsupportedError
from vacc_deploy.vsx.image import Image
from vacc_deploy.vsx.tensor import DTYPES, Tensor

OutputInfo = Sequence[tuple[Sequence[int], TypeFlag]]
CustomFunction = Callable[[list[npt.NDArray[Any]], bytes, OutputInfo], Sequence[npt.ArrayLike]]
"""(inputs, configuration bytes, output shapes and types) → one array per output."""

_functions: dict[str, CustomFunction] = {}


def register_custom_operator(op_name: str) -> Callable[[CustomFunction], CustomFunction]:
    """Decorator: the function computes what the ELF of this name computes on the card.

    Example:
        >>> @register_custom_operator("halve_it")
        ... def halve_it(inputs, config, output_info):
        ...     return [inputs[0] / 2]

    Raises:
        ConfigError: The name is taken.
    """

    def register(function: CustomFunction) -> CustomFunction:
        if op_name in _functions:
            raise ConfigError(f"custom operator '{op_name}' is registered already")
        _functions[op_name] = function
        return function

    return register


class CustomOperator:
    """A custom operator that has a Python stand-in.

    Args:
        op_name: Its name.
        elf_file_path: The card's program; it is not read.

    Raises:
        UnsupportedError: No Python function is registered under the name.
    """

    def __init__(self, op_name: str, elf_file_path: str | Path = "") -> None:
        if op_name not in _functions:
            raise UnsupportedError(
                f"custom operator '{op_name}' is a program for the card's DSP, which is not emulated",
                where=str(elf_file_path) or None,
                why=f"registered in Python: {', '.join(sorted(_functions)) or 'none'}",
                hint=f"write it in Python (@vacc_deploy.vsx.register_custom_operator('{op_name}')) "
                "and load that file with vdeploy vsx --with FILE.py SCRIPT",
            )
        self.op_name = op_name
        self._function = _functions[op_name]
        self._config = b""

    def set_config(self, config_bytes: bytes = b"", config_size: int | None = None) -> int:
        """Keep a configuration for `execute`."""
        self._config = bytes(config_bytes[:config_size])
        return 0

    def set_callback_info(self, in_shapes: Sequence[Any], out_shapes: Sequence[Any]) -> int:
        """Announce shapes to the card's scheduler; without effect in the emulation."""
        return 0

    def run_sync(
        self, tensors: Sequence[Tensor | Image], config: bytes | None = None, output_info: OutputInfo = ()
    ) -> list[Tensor]:
        """Run the operator.

        Args:
            tensors: Inputs.
            config: Configuration bytes; without it those of `set_config`.
            output_info: (shape, type) of each output.

        Raises:
            RunError: The Python function returned something else than `output_info` says.
        """
        inputs = [item.array if isinstance(item, Tensor) else item.picture.array for item in tensors]
        made = self._function(inputs, self._config if config is None else bytes(config), output_info)
        if len(made) != len(output_info):
            raise RunError(
                f"custom operator '{self.op_name}' returned {len(made)} outputs, "
                f"the script expects {len(output_info)}"
            )
        outputs = []
        for value, (shape, flag) in zip(made, output_info, strict=True):
            array = np.asarray(value)
            if array.size != int(np.prod(shape)):
                raise RunError(
                    f"custom operator '{self.op_name}' returned shape {list(array.shape)}, "
                    f"the script expects {list(shape)}"
                )
            outputs.append(Tensor(array.astype(DTYPES[TypeFlag(flag)]).reshape(tuple(shape))))
        return outputs

    def execute(
        self, tensors: Sequence[Tensor | Image], output_info: OutputInfo = (), config: bytes | None = None
    ) -> list[Tensor]:
        """`run_sync` as older scripts call it."""
        return self.run_sync(tensors, config, output_info)
