"""The npz file that a network's outputs go to, whoever ran it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vacc_deploy.safe_io import write_npz


def write_outputs(path: Path, outputs: Sequence[np.ndarray]) -> None:
    """Write outputs as vamp does: ``output_0`` … in the network's order, float16, batch dimension first.

    Raises:
        FileError: The file cannot be written.
    """
    write_npz(path, {f"output_{index}": array for index, array in enumerate(outputs)})
