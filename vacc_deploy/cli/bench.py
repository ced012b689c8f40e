"""`vdeploy bench`: vamp's flags, vamp's fields."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from vacc_deploy.cli.console import counted, emulation_facts, emulation_notice, print_json, print_note
from vacc_deploy.cli.vamp_arguments import (
    join_shape,
    parse_device_ids,
    parse_percentiles,
    parse_shapes,
    repair_stray_flags,
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy bench -s 3,512,512  # the newest artifact",
    "vdeploy bench -m deploy_weights/net/mod --vdsp_params vdsp_params.json -i 2 -p 1 -b 1 -s [3,512,512]",
    "vdeploy bench -m deploy_weights/net/mod --vdsp_params vdsp_params.json --datalist npz/datalist.txt "
    "--path_output out/",
)

_DEFAULT_SECONDS = 5.0


def rewrite_arguments(arguments: list[str]) -> list[str]:
    """Accept ``p 1`` for ``-p 1``, and shapes with spaces."""
    repaired, notes = repair_stray_flags(join_shape(arguments))
    for note in notes:
        print_note(f"warning: {note}")
    return repaired


@app.command()
def bench(
    model: Annotated[
        Path | None,
        typer.Option(
            "-m",
            "--model",
            "--model_prefix",
            metavar="PREFIX",
            help="Artifact; default: the newest in ./deploy_weights.",
        ),
    ] = None,
    vdsp_params: Annotated[
        Path | None,
        typer.Option(
            "--vdsp_params",
            "--vdsp-params",
            metavar="FILE",
            help="vdsp JSON, or a shipped one's name: feed pictures instead of tensors.",
        ),
    ] = None,
    instance: Annotated[
        int, typer.Option("-i", "--instance", metavar="N", help="Instances (streams) per process.")
    ] = 1,
    processes: Annotated[int, typer.Option("-p", "--processes", metavar="N", help="Processes.")] = 1,
    batch_size: Annotated[
        int, typer.Option("-b", "--batch_size", "--batch-size", metavar="N", help="Items per request.")
    ] = 1,
    shape: Annotated[
        str | None,
        typer.Option(
            "-s", "--shape", metavar="SHAPE", help="Input shape C,H,W; [[1,512],…] for several inputs."
        ),
    ] = None,
    datalist: Annotated[
        Path | None,
        typer.Option("--datalist", metavar="FILE", help="Text file with one npz path per line: real data."),
    ] = None,
    path_output: Annotated[
        Path | None,
        typer.Option(
            "--path_output",
            "--path-output",
            metavar="DIR",
            help="Write output_%06d.npz per datalist entry here.",
        ),
    ] = None,
    iterations: Annotated[
        int | None,
        typer.Option(
            "--iterations", metavar="N", help="Requests over all instances; 0: until the datalist or -t ends."
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "-t", "--time", metavar="SECONDS", help="Seconds to measure; default: 5, or the whole datalist."
        ),
    ] = None,
    mode: Annotated[
        str, typer.Option("--mode", metavar="MODE", help="throughput, latency, or both.")
    ] = "throughput",
    forward_mode: Annotated[
        int,
        typer.Option(
            "--forward_mode",
            "--forward-mode",
            metavar="0|1",
            help="1: synchronous, the same as --mode latency.",
        ),
    ] = 0,
    queue_size: Annotated[
        int,
        typer.Option(
            "--queue_size",
            "--queue-size",
            metavar="N",
            help="Waiting requests per instance; 0: latency mode.",
        ),
    ] = 1,
    percentiles: Annotated[
        str, typer.Option("--percentiles", metavar="LIST", help="Latency percentiles.")
    ] = "[50, 90, 95, 99]",
    warmup: Annotated[
        int, typer.Option("--warmup", metavar="N", help="Requests per instance before the clock starts.")
    ] = 2,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads", metavar="N", help="CPU threads per instance; default: the cores shared out."
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            "-d",
            "--device",
            "--device_id",
            "--device_ids",
            metavar="IDS",
            help="Device ids; no effect in emulation.",
        ),
    ] = "0",
    hwconfig: Annotated[
        str, typer.Option("--hwconfig", "--hw_config", metavar="FILE", help="No effect in emulation.")
    ] = "",
    backend: Annotated[str, typer.Option("--backend", metavar="NAME", help="No effect in emulation.")] = "",
    input_host: Annotated[
        int, typer.Option("--input_host", metavar="0|1", help="No effect in emulation.")
    ] = 1,
    json: Annotated[bool, typer.Option("--json", help="Results as JSON.")] = False,
) -> None:
    """Measure throughput and latency of an artifact on this CPU. This is emulation, not the card."""
    from vacc_deploy.artifact import find_newest, read_artifact
    from vacc_deploy.runtime.bench import BenchSettings, run_bench

    if mode not in ("throughput", "latency", "both"):
        raise typer.BadParameter(f"'{mode}' is no mode; throughput, latency or both", param_hint="--mode")
    if forward_mode == 1:
        mode = "latency"
    prefix = model or find_newest()
    if iterations is not None and iterations < 1:
        iterations = None  # vamp's word for endless
    if iterations is None and seconds is None and datalist is None:
        seconds = _DEFAULT_SECONDS
    vdsp = None
    if vdsp_params is not None:
        from vacc_deploy.config import load_vdsp_operator

        vdsp = load_vdsp_operator(vdsp_params)
    settings = BenchSettings(
        prefix=prefix,
        vdsp=vdsp,
        instances=instance,
        processes=processes,
        batch_size=batch_size,
        queue_size=0 if mode == "latency" else queue_size,
        iterations=iterations,
        seconds=seconds,
        warmup=warmup,
        threads=threads,
        devices=parse_device_ids(device),
        percentiles=parse_percentiles(percentiles),
        shapes=parse_shapes(shape) if shape else None,
        datalist=datalist,
        path_output=path_output,
    )
    manifest = read_artifact(prefix).manifest
    for flag, value in {"--hwconfig": hwconfig, "--backend": backend}.items():
        if value:
            print_note(f"note: {flag} has no effect in emulation")
    if vdsp is not None:
        from vacc_deploy.cli.vdsp_warnings import print_vdsp_warnings

        print_vdsp_warnings(vdsp, manifest)
    profiles = [run_bench(settings, print_note)]
    if mode == "both" and settings.mode == "throughput":
        latency = dataclasses.replace(
            settings, queue_size=0, instances=1, processes=1, batch_size=1, datalist=None, path_output=None
        )
        profiles.append(run_bench(latency, print_note))
    if json:
        rows = [profile.to_json() for profile in profiles]
        print_json({**_what(manifest, settings, vdsp_params), "profiles": rows})
        return
    print(emulation_notice())
    shapes = ", ".join("x".join(map(str, spec.shape)) for spec in manifest.inputs)
    feed = f"input through {vdsp_params}" if vdsp_params else "tensors, no pre-processing"
    threads_each = settings.threads_per_instance
    print(
        f"{prefix}: {manifest.dtype}, input {shapes}; {feed}; {counted(threads_each, 'thread')} per instance"
    )
    for profile in profiles:
        if len(profiles) > 1:
            print(f"{profile.mode}:")
        print(profile.to_text())
    if path_output:
        print(f"outputs in {path_output}/output_*.npz")


def _what(manifest: Any, settings: Any, vdsp_params: Path | None) -> dict[str, Any]:
    return {
        **emulation_facts(),
        "artifact": str(settings.prefix),
        "dtype": manifest.dtype,
        "input_shapes": [list(spec.shape) for spec in manifest.inputs],
        "vdsp_params": str(vdsp_params) if vdsp_params else None,
        "threads_per_instance": settings.threads_per_instance,
    }
