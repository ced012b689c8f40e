"""`vdeploy inspect`: what an artifact is made of, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vacc_deploy.cli.console import emulation_notice, print_fields, print_json, print_table
from vacc_deploy.cli.options import PrefixOrNewest

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLES = (
    "vdeploy inspect  # the newest artifact",
    "vdeploy inspect deploy_weights/net/mod --profile",
)


@app.command()
def inspect(
    prefix: PrefixOrNewest = None,
    profile: Annotated[bool, typer.Option("--profile", help="Time every layer on this CPU.")] = False,
    config: Annotated[
        bool, typer.Option("--config", help="Print the effective build configuration.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole manifest as JSON.")] = False,
) -> None:
    """Show an artifact's run stream, configuration, and the reason for each layer's precision."""
    from vacc_deploy.artifact import find_newest, read_artifact

    artifact = read_artifact(prefix or find_newest())
    manifest = artifact.manifest
    if profile:
        _print_profile(artifact.prefix, as_json=json)
        return
    if json:
        print_json(manifest.to_json())
        return
    if config:
        import yaml

        print(yaml.safe_dump(manifest.config, sort_keys=False, allow_unicode=True), end="")
        return
    int8 = 100 * manifest.int8_mac_share()
    print_fields(
        {
            "name": manifest.name,
            "precision": f"{manifest.dtype}; {int8:.2f} % of {manifest.macs / 1e9:.3f} G MACs in int8",
            "target": f"{manifest.target} ({manifest.isa})",
            "inputs": ", ".join(f"{spec.name} {list(spec.shape)} {spec.dtype}" for spec in manifest.inputs),
            "outputs": ", ".join(f"{spec.name} {list(spec.shape)} {spec.dtype}" for spec in manifest.outputs),
            "made by": ", ".join(f"{name} {number}" for name, number in manifest.versions.items()),
        }
    )
    rows = [
        (
            layer.name,
            layer.op,
            layer.engine,
            "×".join(map(str, layer.shape)),
            f"{layer.macs / 1e6:.1f}" if layer.macs else "",
            "" if layer.scale is None else f"{layer.scale:.4g}",
            "" if layer.zero_point is None else layer.zero_point,
            layer.why,
        )
        for layer in manifest.run_stream
    ]
    print_table(("layer", "op", "engine", "shape", "M MACs", "scale", "zero", "why"), rows)


def _print_profile(prefix: Path, *, as_json: bool) -> None:
    from vacc_deploy.runtime.model import Model
    from vacc_deploy.runtime.verify import stored_inputs

    model = Model(prefix)
    inputs = stored_inputs(model)
    model.run(inputs)
    times = model.profile(inputs)
    total = sum(row.time_us for row in times)
    if as_json:
        print_json(
            [{"layer": row.layer.name, "op": row.layer.op, "engine": row.layer.engine, "time_us": row.time_us,
              "macs": row.layer.macs} for row in times]
        )  # fmt: skip
        return
    rows = [
        (
            row.layer.name,
            row.layer.op,
            row.layer.engine,
            f"{row.time_us:.0f}",
            f"{100 * row.time_us / total:.1f}",
            f"{2e-3 * row.layer.macs / row.time_us:.0f}" if row.layer.macs else "",
        )
        for row in sorted(times, key=lambda row: -row.time_us)
    ]
    print(f"{emulation_notice()}: one inference")
    print_table(("layer", "op", "engine", "µs", "%", "GOPS"), rows)
