"""Deployment-pipeline compiler for VastaiTech VACC targets; see README.md for the tour."""

from __future__ import annotations

from pathlib import Path

from vacc_deploy.version import __version__

__all__ = ["__version__"]

# In a source checkout export/, build_configs/ and vdsp_params/ lie beside this package, where
# people look for them; an installed wheel carries them as sub-packages.
_checkout = Path(__file__).resolve().parent.parent
if (_checkout / "pyproject.toml").is_file() and (_checkout / "build_configs").is_dir():
    __path__.append(str(_checkout))
