"""Files in the vendor's formats that come with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from importlib.abc import Traversable

_SUFFIXES = (".yaml", ".json")  # beside them lie the templates that they are rendered from


def shipped_files(folder: Literal["build_configs", "vdsp_params"]) -> dict[str, Traversable]:
    """The build YAMLs or the vdsp JSONs that come with the package, by name, in its order."""
    entries = sorted(files(f"vacc_deploy.{folder}").iterdir(), key=lambda entry: entry.name)
    return {entry.name: entry for entry in entries if entry.name.endswith(_SUFFIXES)}
