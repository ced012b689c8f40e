"""A folder of pictures as network inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.collect_errors import about_file, read_each
from vacc_deploy.data.process_ops import Pipeline
from vacc_deploy.data.sampler import sample_files
from vacc_deploy.errors import ConfigError, DataError
from vacc_deploy.safe_io import read_image


class ImageDataset:
    """Pictures of a folder, each passed through process_ops.

    Iterating yields ``{input name: float32 (1, C, H, W)}``, one picture at a time; nothing is cached.

    Args:
        path: The folder, or the files themselves.
        process_ops: Entries of the build YAML.
        suffix: See `sample_files`.
        count: See `sample_files`.
        input_name: The network input that the picture feeds.
        input_shape: Its (N, C, H, W); None leaves shapes unchecked.

    Raises:
        DataError: The folder has nothing to offer.
        ConfigError: process_ops cannot be carried out.
    """

    def __init__(
        self,
        path: str | Path | Sequence[Path],
        process_ops: Sequence[Any],
        suffix: str | None = None,
        count: int | None = None,
        *,
        input_name: str = "input",
        input_shape: Sequence[int] | None = None,
    ) -> None:
        self._pipeline = Pipeline(process_ops, input_shape)
        self._input_name = input_name
        if isinstance(path, str | Path):
            self.files = sample_files(Path(path), suffix, count)
        else:
            self.files = list(path)[:count]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        return read_each(self.files, self._read)

    def _read(self, path: Path) -> dict[str, NDArray[np.float32]]:
        image = read_image(path, self._pipeline.decoder)
        try:
            return {self._input_name: self._pipeline(image)}
        except (ConfigError, DataError) as error:
            raise about_file(path, error) from error
