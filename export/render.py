"""Renders a recipe's build YAML and vdsp JSON, so that calibration and run time read the same pre-processing.

``python -m vacc_deploy.export.render`` rewrites what changed in a source checkout, `catalogue.json` too.
"""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path

import jinja2

from vacc_deploy.config.recipe_ops import process_ops
from vacc_deploy.errors import ConfigError
from vacc_deploy.export.recipe import BuildSettings, Recipe
from vacc_deploy.processing import Preprocess

EXPORT_FOLDER = "exported"
_CHECKPOINT_SUFFIX = {"onnx": ".onnx", "pytorch": ".torchscript.pt"}
_RESIZE_TYPES = {
    "bilinear_cv": "BILINEAR_CV",
    "bilinear_pillow": "BILINEAR_PILLOW",
    "bicubic_pillow": "BICUBIC_PILLOW",
    "nearest": "NEAREST",
}


def _yaml_scalar(value: object) -> str:
    """A value as YAML: JSON is YAML, except that bare words read better without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["yaml"] = _yaml_scalar
    return environment


def _template(package: str, name: str) -> jinja2.Template:
    source = (resources.files(package) / name).read_text(encoding="utf-8")
    return _environment().from_string(source)


def _normalisation(preprocess: Preprocess) -> str:
    """The vdsp op's NormaType."""
    if preprocess.mean:
        return "DIV255_MINUSMEAN_DIVSTD" if preprocess.divisor == 255.0 else "MINUSMEAN_DIVSTD"
    return "DIV255" if preprocess.divisor == 255.0 else "EQUAL"


def build_yaml(recipe: Recipe) -> str:
    """The recipe's build configuration, text of ``build_configs/<config>.yaml``."""
    settings = _settings(recipe)
    variant = f" --variant {recipe.variant}" if recipe.variant else ""
    return _template("vacc_deploy.build_configs", "build.yaml.j2").render(
        recipe=recipe,
        settings=settings,
        ops=process_ops(recipe.preprocess, settings.calibration_resizes),
        checkpoint=f"./{EXPORT_FOLDER}/{recipe.stem}{_CHECKPOINT_SUFFIX[settings.frontend]}",
        export_command=f"vdeploy export {recipe.name}{variant}",
    )


def vdsp_json(recipe: Recipe) -> str:
    """The recipe's pre-processing op, text of ``vdsp_params/<vdsp>-vdsp_params.json``."""
    preprocess = recipe.preprocess
    height, width = preprocess.size
    return _template("vacc_deploy.vdsp_params", "vdsp_params.json.j2").render(
        width=width,
        height=height,
        mean=list(preprocess.mean) or [0.0] * 3,
        std=list(preprocess.std) or [1.0] * 3,
        normalisation=_normalisation(preprocess),
        # Either name swaps the first and third channel; luma arrives as three equal planes.
        color_code="RGB2BGR" if preprocess.color == "bgr" else "NO_CHANGE",
        resize_type=_RESIZE_TYPES[preprocess.resize],
    )


def rendered_files(recipes: list[Recipe]) -> dict[str, str]:
    """Path relative to the checkout → text, for every recipe that has a build configuration.

    Raises:
        ConfigError: Two recipes render different texts for one file.
    """
    files: dict[str, str] = {}
    for recipe in recipes:
        if recipe.settings is None:
            continue
        for path, text in (
            (f"build_configs/{recipe.settings.config}.yaml", build_yaml(recipe)),
            (f"vdsp_params/{recipe.settings.vdsp}-vdsp_params.json", vdsp_json(recipe)),
        ):
            if files.setdefault(path, text) != text:
                raise ConfigError(f"two recipes render {path} differently", hint="give one another name")
    return files


def _settings(recipe: Recipe) -> BuildSettings:
    if recipe.settings is None:
        raise ConfigError(
            f"the recipe {recipe.stem} has no build configuration", hint="give it settings=BuildSettings(…)"
        )
    return recipe.settings


def main() -> int:
    """Rewrite the rendered files of the source checkout and list those that changed."""
    from vacc_deploy.export.catalogue import FILE, catalogue_text
    from vacc_deploy.export.registry import shipped_recipes
    from vacc_deploy.safe_io.atomic import write_text_atomic

    checkout, recipes = Path(__file__).resolve().parent.parent, shipped_recipes()
    files = {**rendered_files(recipes), f"export/{FILE}": catalogue_text(recipes)}
    for path, text in files.items():
        target = checkout / path
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            write_text_atomic(target, text)
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
