"""`vdeploy npz`: a folder of pictures becomes npz files and a datalist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from vacc_deploy.cli.console import print_fields, print_json, progress_bar
from vacc_deploy.cli.options import Json

app = typer.Typer(add_completion=False)

EXAMPLES = (
    "vdeploy npz pictures/ -o npz/                      # uint8 pictures, for bench --datalist",
    "vdeploy npz pictures/ -o npz/ --config build.yaml  # finished float inputs, to calibrate on",
)

VAMP_KEY = "input_0"
_T = TypeVar("_T")


@app.command(name="npz")
def npz(
    images: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of pictures.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the npz files and datalist.txt.")
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="YAML",
            help="Build YAML: write finished float inputs through its process_ops.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="NAME", help="Array name; default: input_0, with --config the input's name."
        ),
    ] = None,
    luma: Annotated[
        bool, typer.Option("--luma", help="The Y plane three times, for 1-channel models.")
    ] = False,
    suffix: Annotated[
        str | None, typer.Option("--suffix", metavar="ENDING", help="Take files with this ending only.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", help="Take the first N of the sorted files.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn a folder of images into npz files and a datalist.

    Without --config the arrays are what vamp takes: uint8 RGB, channels first, at each picture's own size.
    """
    from vacc_deploy.data.image_dataset import ImageDataset
    from vacc_deploy.data.image_to_npz import DATALIST, processed_pictures, raw_pictures, write_npz_folder
    from vacc_deploy.data.sampler import sample_files
    from vacc_deploy.errors import ConfigError

    if config is None:
        files = sample_files(images, suffix, count)
        samples = raw_pictures(files, key=key or VAMP_KEY, luma_only=luma)
        kind = "uint8 CHW pictures"
    else:
        from vacc_deploy.config import load_build_config

        build = load_build_config(config)
        if luma or build.dataset is None or not build.dataset.process_ops or len(build.inputs) != 1:
            raise ConfigError(
                "--config needs a build YAML with process_ops and one input, and excludes --luma",
                where=str(config),
            )
        ((name, shape),) = build.inputs.items()
        dataset = ImageDataset(
            images, build.dataset.process_ops, suffix, count, input_name=name, input_shape=shape
        )
        files, samples, kind = dataset.files, processed_pictures(dataset, key=key), "float32 NCHW inputs"
    with progress_bar("writing npz", len(files)) as advance:
        written = write_npz_folder(output, files, _counted(samples, advance))
    if as_json:
        print_json(
            {"files": len(written), "kind": kind, "folder": str(output), "datalist": str(output / DATALIST)}
        )
    else:
        print_fields({"files": len(written), "kind": kind, "datalist": output / DATALIST})


def _counted(samples: Iterable[_T], advance: Callable[[], object]) -> Iterator[_T]:
    for sample in samples:
        yield sample
        advance()
