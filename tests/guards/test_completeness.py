"""Nothing is added without a test: every kernel, selector, calibrator, recipe, command … is named in one.

A thing counts as tested when its name stands in a test file: imported, or in a table of cases.  That is weak
evidence for what is there, and strong evidence against what nobody thought of.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import tomllib

from vacc_deploy import errors
from vacc_deploy.cli.app import COMMANDS
from vacc_deploy.lowering.select.registry import SELECTORS

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = _ROOT / "vacc_deploy"


@functools.cache
def _tests() -> str:
    """All test code but this folder's."""
    files = sorted(path for path in (_ROOT / "tests").rglob("*.py") if path.parent != Path(__file__).parent)
    return "\n".join(path.read_text() for path in files)


# What is tested under another name.
_TESTED_AS = {
    "attribute_of": "run_graph",  # runs whatever the next three dispatch
    "code_tables": "run_graph",
    "integer_ops": "run_graph",
    "movement": "run_graph",
    "qconv2d_depthwise": "depthwise_65",  # qconv2d.build chooses it, and the next one
    "qconv2d_grouped": "groups_16",
}


def _untested(names: list[str]) -> list[str]:
    words = set(re.findall(r"\w+", _tests()))
    return [name for name in names if _TESTED_AS.get(name, name) not in words]


def _modules(folder: str) -> list[str]:
    return sorted(path.stem for path in (_PACKAGE / folder).glob("*.py") if path.stem != "__init__")


def _registered(folder: str, decorator: str, limit: int | None = None) -> list[str]:
    """The names that modules of a folder register with ``@decorator("name", …)``."""
    names = set()
    for path in sorted((_PACKAGE / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == decorator:
                names |= {arg.value for arg in node.args[:limit] if isinstance(arg, ast.Constant)}
    assert names, f"no @{decorator} in {folder}"
    return sorted(map(str, names))


def _kernels() -> list[str]:
    """Names of the kernel modules that build a kernel; a test imports each of them."""
    sources = sorted((_PACKAGE / "lowering" / "kernels").rglob("*.py"))
    return [
        path.stem for path in sources if re.search(r"^def (build|emit)\b", path.read_text(), re.MULTILINE)
    ]


@pytest.mark.parametrize(
    ("what", "names"),
    {
        "kernels": _kernels(),
        "operators with a selector": sorted(SELECTORS),
        "calibrators": _registered("quantize/calibrators", "calibrator"),
        "evaluation protocols": _registered("evaluate/protocols", "protocol", 1),
        "commands": list(COMMANDS),
        "integer references": _modules("runtime/reference"),
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_is_named_in_a_test(what: str, names: list[str]) -> None:
    assert names
    untested = _untested(names)
    assert not untested, f"{what} that no test names: {', '.join(untested)}"


def test_every_error_class_is_met() -> None:
    classes = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    assert not _untested(classes)
    codes = [getattr(errors, name).code for name in classes]
    assert len(codes) == len(set(codes)), "every class has a code of its own"


def test_every_recipe_and_config_is_exercised() -> None:
    registry = importlib.import_module("vacc_deploy.export.registry")
    configs = sorted(path.name for path in (_ROOT / "build_configs").glob("*.yaml"))
    assert configs
    assert not _untested(sorted(registry.SHIPPED))
    # Configs and vdsp files are tested as a set: every one the recipes render, and no other, lies there.
    render = (_ROOT / "tests" / "export" / "test_render.py").read_text()
    assert "build_configs" in render
    assert "vdsp_params" in render


def _setuptools() -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return settings


def test_every_package_is_listed() -> None:
    listed = set(_setuptools()["packages"])
    folders = {path.parent for path in _PACKAGE.rglob("*.py")}
    there = {
        ".".join(folder.relative_to(_ROOT).parts) for folder in folders if "__pycache__" not in folder.parts
    }
    there |= {f"vacc_deploy.{name}" for name in ("export", "build_configs", "vdsp_params")}
    assert there - listed == set(), "missing in pyproject.toml: wheels would lack them"
    assert listed - there == set(), "listed in pyproject.toml and not there"


def test_every_data_file_ships() -> None:
    settings = _setuptools()
    places = settings["package-dir"]
    shipped = {
        file
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
        for file in (_ROOT / places.get(package, package.replace(".", "/"))).glob(pattern)
    }
    data = {
        file
        for folder in (_PACKAGE, *(_ROOT / place for place in places.values()))
        for file in folder.rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert data - shipped == set(), "add them to package-data: wheels would lack them"


def test_every_package_has_an_init() -> None:
    folders = {path.parent for path in _PACKAGE.rglob("*.py")}
    assert not [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()]


def test_every_command_has_its_module() -> None:
    assert not [
        name for name, (module, _) in COMMANDS.items() if not (_PACKAGE / "cli" / f"{module}.py").is_file()
    ]
