"""The list of recipes: those that ship, and those in a Python file of the user's own."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from pathlib import Path

from vacc_deploy.errors import ConfigError, VdeployError
from vacc_deploy.export.recipe import Recipe

# Recipe name → module; a module registers its variants when it is imported.
SHIPPED = {
    "vdsr": "vacc_deploy.export.vdsr",
    "lesrcnn": "vacc_deploy.export.lesrcnn",
    "fsrnet": "vacc_deploy.export.fsrnet",
    "sparnet": "vacc_deploy.export.sparnet",
    "gpen": "vacc_deploy.export.gpen",
}

_recipes: dict[str, dict[str, Recipe]] = {}  # name → variant → recipe, in the order of registration


def register(recipe: Recipe) -> Recipe:
    """Add a recipe; the first variant of a name is its default.

    Raises:
        ConfigError: The name and variant are taken.
    """
    variants = _recipes.setdefault(recipe.name, {})
    if recipe.variant in variants:
        raise ConfigError(
            f"two recipes are called '{recipe.stem}'", hint="give one of them another name or variant"
        )
    variants[recipe.variant] = recipe
    return recipe


def shipped_recipes() -> list[Recipe]:
    """Every shipped recipe, variants together, defaults first."""
    for module in SHIPPED.values():
        importlib.import_module(module)
    return [recipe for name in SHIPPED for recipe in _recipes[name].values()]


def find_recipe(name: str, variant: str | None = None) -> Recipe:
    """The recipe called `name`, which is a shipped name or the path of a Python file that registers one.

    Args:
        name: ``vdsr``, or ``./my_model.py``.
        variant: Which variant; None takes the default.

    Raises:
        ConfigError: There is no such recipe or variant; the message lists those that exist.
    """
    if name.endswith(".py"):
        variants = _load_file(Path(name))
    elif name in SHIPPED:
        importlib.import_module(SHIPPED[name])
        variants = _recipes[name]
    else:
        close = difflib.get_close_matches(name, SHIPPED, n=1)
        raise ConfigError(
            f"there is no recipe '{name}'",
            why="recipes are " + ", ".join(SHIPPED),
            hint=f"did you mean '{close[0]}'?" if close else "a path ending in .py loads your own recipe",
        )
    if variant is None:
        return next(iter(variants.values()))
    if variant not in variants:
        names = ", ".join(variants) if any(variants) else "none: this model has a single variant"
        raise ConfigError(
            f"'{name}' has no variant '{variant}'",
            why=f"its variants are {names}",
            hint="vdeploy models lists all recipes and variants",
        )
    return variants[variant]


def _load_file(path: Path) -> dict[str, Recipe]:
    """Import a Python file and return the variants of the recipe that it registers."""
    if not path.is_file():
        raise ConfigError(f"there is no file {path}", hint="give a Python file that registers a Recipe")
    known = {name: dict(variants) for name, variants in _recipes.items()}
    spec = importlib.util.spec_from_file_location(f"vdeploy_recipe_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        added = [name for name, variants in _recipes.items() if variants.keys() - known.get(name, {}).keys()]
        new = {name: _recipes[name] for name in added}
    except VdeployError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{path} cannot be imported: {type(error).__name__}: {error}",
            where=str(path),
            hint="run it with python to see the traceback",
        ) from error
    finally:  # a file's recipes stay out of the table, so that it can be loaded again
        _recipes.clear()
        _recipes.update(known)
    if len(new) != 1:
        found = ", ".join(sorted(new)) if new else "none"
        raise ConfigError(
            f"{path} must register the variants of one recipe",
            why=f"it registers {found}",
            hint="call vacc_deploy.export.registry.register(Recipe(...)) at the end of the file",
        )
    return next(iter(new.values()))
