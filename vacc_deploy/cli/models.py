"""``vdeploy models``: the recipes that ship, with their size, cost and licence."""

from __future__ import annotations

import typer

from vacc_deploy.cli.console import print_json, print_note, print_table
from vacc_deploy.cli.options import Json

app = typer.Typer(add_completion=False)

EXAMPLES = ("vdeploy models",)


@app.command()
def models(
    as_json: Json = False,
) -> None:
    """List the model recipes with parameters, MACs, variants and licences."""
    from vacc_deploy.export.catalogue import shipped_models

    entries = shipped_models()
    if as_json:
        print_json(entries)
        return
    rows = [
        (
            entry["name"],
            entry["variant"] or "-",
            "x".join(str(side) for side in entry["input_shape"]),
            f"{entry['parameters'] / 1e6:.3f}",
            f"{entry['macs'] / 1e9:.3f}",
            f"{entry['card_gflops']:.3f}",
        )
        for entry in entries
    ]
    print_table(("model", "variant", "input", "params [M]", "GMACs", "card GFLOPs"), rows)
    for name, licence in {entry["name"]: entry["licence"] for entry in entries}.items():
        print_note(f"{name}: {licence}")
    print_note("card GFLOPs = 2·MACs / 0.9e9, as the vendor's cards count; first variant = default")
