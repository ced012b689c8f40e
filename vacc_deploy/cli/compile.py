"""`vdeploy compile`: a build YAML or an ONNX file in, an artifact out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vacc_deploy.cli.console import print_fields, print_json, print_note, print_table, progress_bar
from vacc_deploy.cli.options import Json
from vacc_deploy.cli.vamp_arguments import join_shape, parse_named_shapes
from vacc_deploy.errors import ConfigError, GateError

if TYPE_CHECKING:
    from vacc_deploy.compiler import CompileResult

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy compile official_vdsr --dtype int8 --checkpoint exported/vdsr.onnx --dataset pictures/",
    "vdeploy compile build.yaml -o deploy_weights --max-drop 0.02 --time-limit 10m",
    "vdeploy compile model.onnx --shape 3,512,512  # a model that leaves its size open",
)


def rewrite_arguments(arguments: list[str]) -> list[str]:
    """Accept shapes with spaces."""
    return join_shape(arguments)


@app.command()
def compile_(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="Build YAML, a shipped one's name, or an ONNX or TorchScript file."
        ),
    ],
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="DTYPE", help="fp16 or int8; default: the file's, as for whatever flag is left out."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FILE", help="ONNX or TorchScript file to compile instead.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "-s",
            "--shape",
            metavar="SHAPE",
            help="Input shape instead: 3,512,512 or 1,3,512,512; for several inputs NAME:SHAPE, repeated.",
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Calibration data instead: a folder or a list of pictures or npz files.",
        ),
    ] = None,
    calibrate_mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE", help="max, percentile, kl_divergence or mse, exactly; default: best per tensor."
        ),
    ] = None,
    scheme: Annotated[
        str | None, typer.Option(metavar="SCHEME", help="symmetric (the card's) or asymmetric activations.")
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="TARGET", help="native, sapphirerapids, x86-64-v4, x86-64-v3 or generic.")
    ] = "native",
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the artifact; default: the file's, with int8 and fp16 exchanged as --dtype says.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Workspace folder; the artifact is DIR/NAME/mod.*"
        ),
    ] = None,
    recipe_exact: Annotated[
        bool, typer.Option("--recipe-exact", help="Quantise precisely as the YAML says, nothing more.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compile from this calibration.json instead of calibrating."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop", metavar="DB", help="Search each layer's precision until int8 loses less, dB."
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            "--time-limit", metavar="TIME", help="End the search after 90s, 10m or 1h; keeps the best."
        ),
    ] = None,
    lr: Annotated[
        Path | None,
        typer.Option(
            "--lr", metavar="DIR", help="Pictures to score --max-drop on, by the recipe's protocol."
        ),
    ] = None,
    hr: Annotated[
        Path | None,
        typer.Option(
            "--hr", metavar="DIR", help="Their ground truth; without it, fidelity on calibration pictures."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where calibration data look wrong, instead of warning.")
    ] = False,
    json: Json = False,
) -> None:
    """Compile a network into an artifact that runs on this CPU as the card would run it."""
    from vacc_deploy.build_files import name_for, require_files, resolve_build, with_dataset

    seconds = parse_duration(time_limit)
    searching = {"--time-limit": time_limit, "--lr": lr, "--hr": hr}
    if max_drop is None:
        _refuse(searching, "of the search that --max-drop asks for", "add --max-drop DB")
    elif not max_drop >= 0:
        raise ConfigError(
            f"{max_drop:g} dB is no loss to allow", where="--max-drop", hint="write 0.02 or the like"
        )
    build = resolve_build(config, parse_named_shapes(shape or ()))
    build = build.override(
        name=name or name_for(build.name, build.dtype, dtype),
        dtype=dtype,
        checkpoint=checkpoint,
        calibrate_mode=calibrate_mode,
        scheme=scheme,
    )
    if build.dtype != "int8":
        quantising: dict[str, object] = {
            "--calibrate-mode": calibrate_mode,
            "--scheme": scheme,
            "--recipe-exact": recipe_exact,
            "--table": table,
            "--max-drop": max_drop,
            "--strict": strict,
        }
        _refuse(quantising, f"for int8, and {config} compiles to {build.dtype}", "add --dtype int8")
        if dataset is not None:  # no refusal: scripts give it with both dtypes
            print_note(f"note: --dataset is not read, {config} compiles to {build.dtype}")
    build = with_dataset(build, dataset)
    require_files(build, calibrates=build.dtype == "int8" and table is None)

    # Only now: TVM and the frontend take seconds to import.
    from vacc_deploy.compiler import CompileOptions, compile_model
    from vacc_deploy.precision import PrecisionLimits

    for remark in (*build.warnings, *build.notes):
        print_note(str(remark))
    print_note(_echo(build.effective()))
    options = CompileOptions(
        target=target,
        output=output,
        dataset=dataset,
        recipe_exact=recipe_exact or calibrate_mode is not None,
        table=table,
        limits=None if max_drop is None else PrecisionLimits(max_drop, seconds, lr, hr),
        strict=strict,
    )
    result = compile_model(build, options, progress_bar)
    manifest, found = result.manifest, result.search
    for warning in result.warnings:
        print_note(f"warning: {warning}")
    summary: dict[str, object] = {
        "prefix": str(result.prefix),
        "name": manifest.name,
        "dtype": manifest.dtype,
        "target": manifest.target,
        "layers": len(manifest.run_stream),
        "macs": manifest.macs,
        "int8_macs_percent": round(100 * manifest.int8_mac_share(), 2),
        "seconds": {stage: round(seconds, 3) for stage, seconds in result.seconds.items()},
        "warnings": [*(remark.line for remark in build.warnings), *result.warnings],
        "drop_db": None if found is None else found.drop_db,
        "fp16_layers": [] if found is None else list(found.moved),
    }
    if json:
        print_json(summary)
    else:
        _print(summary, result)
    if found is not None and not found.reached:
        raise GateError(
            f"the best network found loses {found.drop_db:.3f} dB, more than --max-drop {max_drop:g}",
            where=str(result.prefix),
            why="the time limit ended the search"
            if found.out_of_time
            else "no combination of layers does better",
            hint="the artifact holds that network; allow more time or a larger drop, or compile to fp16",
        )


def _refuse(flags: Mapping[str, object], purpose: str, hint: str) -> None:
    """Refuse flags that would have no effect: who gives one expects what it does.

    Raises:
        ConfigError: One of them is given.
    """
    given = [flag for flag, value in flags.items() if value not in (None, False)]
    if given:
        raise ConfigError(f"{', '.join(given)}: only {purpose}", where="vdeploy compile", hint=hint)


def _print(summary: dict[str, Any], result: CompileResult) -> None:
    manifest, found = result.manifest, result.search
    print_table(("stage", "seconds"), [(stage, f"{value:.2f}") for stage, value in result.seconds.items()])
    print_fields(
        {
            "artifact": result.prefix,
            "precision": f"{manifest.dtype}, {summary['int8_macs_percent']} % of MACs in int8",
            **(
                {}
                if found is None
                else {"loss": f"{found.drop_db:.3f} dB, {found.start_drop_db:.3f} dB before the search"}
            ),
            "target": f"{manifest.target} ({manifest.isa} kernels; emulation on a CPU, not the card)",
            "next": f"vdeploy bench -m {shlex.quote(str(result.prefix))}",
        }
    )


def _echo(effective: dict[str, object]) -> str:
    """The effective configuration as YAML."""
    import yaml

    text = yaml.safe_dump(effective, sort_keys=False, default_flow_style=None, allow_unicode=True)
    return "\n  ".join(["effective configuration:", *text.splitlines()])


def parse_duration(text: str | None) -> float | None:
    """Seconds in ``90``, ``90s``, ``10m`` or ``1h``.

    Raises:
        ConfigError: It is none of those.
    """
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"'{text}' is no duration", where="--time-limit", hint="write 90s, 10m or 1h")
    return seconds


_UNITS = {"s": 1, "m": 60, "h": 3600}
