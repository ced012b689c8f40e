"""``vdeploy models``: the recipes that ship, with their size, cost and licence."""

from __future__ import annotations

import typer

from vacc_deploy.cli.console import print_json, print_note, print_table, progress_bar
from vacc_deploy.cli.options import Json

app = typer.Typer(add_completion=False)

EXAMPLES = ("vdeploy models",)


@app.command()
def models(
    as_json: Json = False,
) -> None:
    """List the model recipes with parameters, MACs, variants and licences."""
    from vacc_deploy.export.complexity import measure
    from vacc_deploy.export.registry import shipped_recipes

    recipes = shipped_recipes()
    costs = []
    with progress_bar("counting", len(recipes)) as advance:
        for recipe in recipes:
            costs.append(measure(recipe))
            advance()
    if as_json:
        print_json(
            [
                {
                    "name": recipe.name,
                    "variant": recipe.variant,
                    "title": recipe.title,
                    "input_shape": list(recipe.input_shape),
                    "outputs": list(recipe.output_names),
                    "any_size": recipe.size_step > 0,
                    "parameters": cost.parameters,
                    "macs": cost.macs,
                    "card_gflops": round(cost.card_gflops, 3),
                    "protocol": recipe.protocol,
                    "paper": recipe.paper,
                    "licence": recipe.licence,
                    "demo_weights": bool(recipe.demo_weights),
                    "build_config": f"{recipe.settings.config}.yaml" if recipe.settings else None,
                }
                for recipe, cost in zip(recipes, costs, strict=True)
            ]
        )
        return
    rows = [
        (
            recipe.name,
            recipe.variant or "-",
            "x".join(str(side) for side in recipe.input_shape),
            f"{cost.parameters / 1e6:.3f}",
            f"{cost.macs / 1e9:.3f}",
            f"{cost.card_gflops:.3f}",
        )
        for recipe, cost in zip(recipes, costs, strict=True)
    ]
    print_table(("model", "variant", "input", "params [M]", "GMACs", "card GFLOPs"), rows)
    for name, licence in {recipe.name: recipe.licence for recipe in recipes}.items():
        print_note(f"{name}: {licence}")
    print_note("card GFLOPs = 2·MACs / 0.9e9, as the vendor's cards count; first variant = default")
