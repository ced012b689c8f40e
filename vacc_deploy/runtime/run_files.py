"""`vdeploy run`: files through a run stream, one result file per input, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vacc_deploy.errors import ConfigError, DataError
from vacc_deploy.runtime.model import Model
from vacc_deploy.runtime.output_file import write_outputs
from vacc_deploy.runtime.pictures import Pixels, network_picture, output_picture, takes_luma
from vacc_deploy.runtime.stream import RunStream
from vacc_deploy.runtime.vdsp import VdspOp
from vacc_deploy.safe_io import SUFFIXES, picture_files, read_image, write_image


def list_pictures(inputs: Sequence[Path]) -> list[Path]:
    """Files as given, and the pictures of folders in sorted order (hidden files only where they are named).

    Raises:
        DataError: A file or folder does not exist, or a folder holds no picture.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = picture_files(path)
            if not found:
                endings = ", ".join(sorted(SUFFIXES))
                raise DataError(f"'{path}' holds no picture", hint=f"pictures end in {endings}")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"'{path}' does not exist", hint="name pictures, or folders of pictures")
    return files


def name_results(files: Sequence[Path], folder: Path, suffix: str) -> list[Path]:
    """One result path per input, named after it.

    Raises:
        ConfigError: Two inputs would get the same result.
    """
    results = [folder / f"{file.stem}{suffix}" for file in files]
    for index, result in enumerate(results):
        if (first := results.index(result)) < index:
            raise ConfigError(
                f"'{files[first]}' and '{files[index]}' would both be written to '{result}'",
                hint="run them one after the other with different -o",
            )
        if result.resolve() == files[index].resolve():
            raise ConfigError(f"'{result}' would overwrite the input", hint="choose another -o")
    return results


def run_pictures(
    model: Model,
    vdsp_op: VdspOp,
    files: Sequence[Path],
    results: Sequence[Path],
    raw: bool,
    done: Callable[[], object] = lambda: None,
) -> None:
    """Run pictures and write one result each: the picture that comes out, or with `raw` all outputs as npz.

    Raises:
        VdeployError: A picture cannot be read, does not fit, or a result cannot be written; results written
            before stay.
    """
    luma_only = takes_luma(model.manifest)
    postprocess = model.manifest.postprocess
    sources: deque[Pixels] = deque()

    def requests() -> Iterator[list[Any]]:
        for file in files:
            rgb = read_image(file)
            sources.append(rgb)
            yield [network_picture(rgb, luma_only)]

    with RunStream(model, vdsp_op, queue_size=2) as stream:
        for result, path in zip(stream.run_all(requests()), results, strict=True):
            source, outputs = sources.popleft(), result.outputs[0]
            if raw:
                write_outputs(path, outputs)
            else:
                write_image(path, output_picture(outputs[postprocess.output], postprocess, source))
            done()


def run_samples(
    model: Model,
    samples: Iterator[dict[str, np.ndarray]],
    results: Sequence[Path],
    done: Callable[[], object] = lambda: None,
) -> None:
    """Run a dataset's samples, already network inputs, and write all outputs of each as npz.

    Raises:
        VdeployError: A sample cannot be read or does not fit, or a result cannot be written.
    """
    names = [spec.name for spec in model.inputs]

    def requests() -> Iterator[list[Any]]:
        for sample in samples:
            yield [[sample[name] for name in names] if set(names) <= set(sample) else list(sample.values())]

    with RunStream(model, queue_size=2) as stream:
        for result, path in zip(stream.run_all(requests()), results, strict=True):
            write_outputs(path, result.outputs[0])
            done()
