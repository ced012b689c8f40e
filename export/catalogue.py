"""What `vdeploy models` lists, kept beside the recipes in `catalogue.json`.

Counting parameters and multiply-accumulates takes PyTorch and every network, seconds of them, and the result
changes only when a recipe does. ``python -m vacc_deploy.export.render`` counts anew and rewrites the file; a
test holds the two equal.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # reading the file must not import PyTorch
    from vacc_deploy.export.recipe import Recipe

FILE = "catalogue.json"


def shipped_models() -> list[dict[str, Any]]:
    """An entry for every shipped recipe, variants together, defaults first; see `describe`."""
    text = resources.files("vacc_deploy.export").joinpath(FILE).read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = json.loads(text)
    return entries


def describe(recipe: Recipe) -> dict[str, Any]:
    """One recipe with its size and cost at its own input size, ready for JSON."""
    from vacc_deploy.export.complexity import measure

    cost = measure(recipe)
    return {
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


def catalogue_text(recipes: list[Recipe]) -> str:
    """The text of `FILE`."""
    return json.dumps([describe(recipe) for recipe in recipes], indent=1, ensure_ascii=False) + "\n"
