"""The list of models that is kept as a file is what the recipes say, and reading it takes no PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vacc_deploy.export.catalogue import FILE, catalogue_text, shipped_models
from vacc_deploy.export.registry import shipped_recipes

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def test_the_file_is_what_the_recipes_say() -> None:
    text = (CHECKOUT / "export" / FILE).read_text(encoding="utf-8")
    assert text == catalogue_text(shipped_recipes()), "run: python -m vacc_deploy.export.render"
    assert [(entry["name"], entry["variant"]) for entry in shipped_models()] == [
        (recipe.name, recipe.variant) for recipe in shipped_recipes()
    ]


def test_listing_models_does_not_import_torch() -> None:
    program = (
        "import sys; from vacc_deploy.cli.app import main; code = main(['models']); "
        "sys.exit(code or 'torch' in sys.modules or 'tvm' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "sparnet" in run.stdout
