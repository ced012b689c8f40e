"""`vdeploy run`: an artifact on pictures, or a build YAML over its dataset as `vamc run` does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vacc_deploy.cli.console import (
    counted,
    emulation_facts,
    emulation_notice,
    print_json,
    print_note,
    progress_bar,
)
from vacc_deploy.cli.options import Threads
from vacc_deploy.errors import ConfigError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy run deploy_weights/net/mod --vdsp_params vdsp_params.json --input lr/ -o out/",
    "vdeploy run deploy_weights/net/mod --input a.png b.png -o out/ --npz",
    "vdeploy run build.yaml  # the whole dataset, as vamc run",
)

_YAML_SUFFIXES = (".yaml", ".yml")
_MANY_VALUES = ("--input",)


def rewrite_arguments(arguments: list[str]) -> list[str]:
    """Let ``--input A B C`` stand for ``--input A --input B --input C``."""
    rewritten: list[str] = []
    flag = None
    for word in arguments:
        if word.startswith("-") and len(word) > 1:
            flag = word if word in _MANY_VALUES else None
            if flag is None:
                rewritten.append(word)
        else:
            rewritten += [flag, word] if flag is not None else [word]
    return rewritten


@app.command()
def run(
    what: Annotated[Path, typer.Argument(metavar="PREFIX|CONFIG", help="Artifact prefix, or a build YAML.")],
    inputs: Annotated[
        list[Path] | None,
        typer.Option("--input", metavar="PATHS", help="Pictures or folders of pictures; several may follow."),
    ] = None,
    vdsp_params: Annotated[
        Path | None,
        typer.Option(
            "--vdsp_params",
            "--vdsp-params",
            metavar="FILE",
            help="vdsp JSON, or a shipped one's name; default: what the model's recipe says.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results.")
    ] = None,
    npz: Annotated[
        bool, typer.Option("--npz", help="Write raw outputs (output_0 …) instead of pictures.")
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="PATH", help="With a build YAML: other data than the file names."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "-m", "--model", metavar="PREFIX", help="With a build YAML: another artifact than its own."
        ),
    ] = None,
    threads: Threads = None,
    json: Annotated[bool, typer.Option("--json", help="List inputs and results as JSON.")] = False,
) -> None:
    """Run an artifact on pictures, or a build YAML over its dataset. This is emulation, not the card."""
    if what.suffix.lower() in _YAML_SUFFIXES:
        files, results = _run_dataset(what, model, dataset, output, threads)
    else:
        files, results = _run_pictures(what, inputs or [], vdsp_params, output, npz, threads)
    if json:
        rows = [
            {"input": str(file), "output": str(result)} for file, result in zip(files, results, strict=True)
        ]
        print_json({**emulation_facts(), "results": rows})
    else:
        print(emulation_notice())
        print(f"{counted(len(results), 'result')} in {results[0].parent}")


def _run_pictures(
    prefix: Path,
    inputs: list[Path],
    vdsp_params: Path | None,
    output: Path | None,
    raw: bool,
    threads: int | None,
) -> tuple[list[Path], list[Path]]:
    from vacc_deploy.cli.vdsp_warnings import print_vdsp_warnings
    from vacc_deploy.config import load_vdsp_operator
    from vacc_deploy.runtime.instances import load_models
    from vacc_deploy.runtime.pictures import vdsp_op_of
    from vacc_deploy.runtime.run_files import list_pictures, name_results, run_pictures
    from vacc_deploy.runtime.vdsp import VdspOp

    if not inputs or output is None:
        raise ConfigError("run needs --input PICTURES… and -o DIR", hint="vdeploy run --help lists its flags")
    files = list_pictures(inputs)
    results = name_results(files, output, ".npz" if raw else ".png")
    (model,) = load_models(prefix, threads=threads)
    recipe = model.manifest.preprocess
    if vdsp_params is not None:
        params = load_vdsp_operator(vdsp_params)
        print_vdsp_warnings(params, model.manifest)
        op = VdspOp.from_params(params)
    elif recipe is not None:
        op = vdsp_op_of(recipe)
        print_note("no --vdsp_params: pictures are prepared as the model's recipe says")
    else:
        raise ConfigError(
            "nothing says how a picture becomes the network's input",
            where=str(prefix),
            hint="give the vdsp JSON with --vdsp_params",
        )
    with progress_bar("running", len(files)) as advance:
        run_pictures(model, op, files, results, raw, advance)
    return files, results


def _run_dataset(
    config: Path, prefix: Path | None, dataset: Path | None, output: Path | None, threads: int | None
) -> tuple[list[Path], list[Path]]:
    from vacc_deploy.build_files import resolve_build
    from vacc_deploy.data import open_dataset
    from vacc_deploy.runtime.instances import load_models
    from vacc_deploy.runtime.run_files import name_results, run_samples

    build = resolve_build(str(config))
    for remark in build.warnings:
        print_note(str(remark))
    home = build.workspace / build.name
    (model,) = load_models(prefix or home / "mod", threads=threads)
    shapes = {spec.name: spec.shape for spec in model.inputs}
    samples = open_dataset(build.dataset, shapes, dataset)
    folder = output or home.with_name(f"{home.name}-debug-result")
    results = name_results(samples.files, folder, ".npz")
    with progress_bar("running", len(results)) as advance:
        run_samples(model, iter(samples), results, advance)
    return samples.files, results
