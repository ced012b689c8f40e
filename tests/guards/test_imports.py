"""Imports run one way, and heavy libraries stay in the one folder that needs them."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]

# Each part may import only from lines above its own.
_ORDER = """
    version errors
    cpu freed_memory onnx_constants onnx_declarations onnx_session processing without_torch
    safe_io
    config
    data
    frontend reference
    quantize artifact
    runtime
    lowering evaluate vsx
    report check precision self_test
    calibration
    export
    bare_model
    build_files compiler
    comparison
    cli
"""
_LEVEL = {part: level for level, line in enumerate(_ORDER.split("\n")) for part in line.split()}

# Library → the only places that may import it (ends of paths, or folders).
_HOMES = {
    "torch": ("export/", "vacc_deploy/frontend/torchscript.py"),
    "tvm": ("vacc_deploy/lowering/",),
    "typer": ("vacc_deploy/cli/",),
    "rich": ("vacc_deploy/cli/",),
    "yaml": ("vacc_deploy/safe_io/", "vacc_deploy/cli/", "export/"),
    "pickle": (),
    "marshal": (),
    "shelve": (),
}


def _sources() -> list[Path]:
    return sorted(path for tree in ("vacc_deploy", "export") for path in (_ROOT / tree).rglob("*.py"))


def _imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, wherever it stands; type checkers' ones are left out."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


@functools.cache
def _imports_of(path: Path) -> list[tuple[int, str]]:
    return list(_imports(path.read_text()))


def _part(names: tuple[str, ...]) -> str:
    """The part of the product that a dotted name under vacc_deploy belongs to."""
    return "reference" if names[:2] == ("runtime", "reference") else names[0]


def _own_part(path: Path) -> str:
    names = path.relative_to(_ROOT).with_suffix("").parts
    return "export" if names[0] == "export" else _part(names[1:])


def test_every_part_has_its_place() -> None:
    parts = {_own_part(path) for path in _sources()} - {"__init__"}
    assert not parts - _LEVEL.keys(), "say in _ORDER what it may import"


@pytest.mark.parametrize("part", sorted(_LEVEL))
def test_imports_run_one_way(part: str) -> None:
    wrong = []
    for path in _sources():
        if _own_part(path) != part:
            continue
        for line, name in _imports_of(path):
            names = tuple(name.split("."))
            if names[0] != "vacc_deploy" or len(names) == 1 or _part(names[1:]) == part:
                continue
            if _LEVEL[_part(names[1:])] >= _LEVEL[part]:
                wrong.append(f"{path.relative_to(_ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", _HOMES)
def test_heavy_libraries_stay_at_home(library: str) -> None:
    wrong = [
        f"{path.relative_to(_ROOT)}:{line}"
        for path in _sources()
        for line, name in _imports_of(path)
        if name.split(".")[0] == library
        and not path.relative_to(_ROOT).as_posix().startswith(_HOMES[library])
    ]
    assert not wrong, f"{library} is imported outside {_HOMES[library]}: {wrong}"


@pytest.mark.parametrize(
    "source", ["import torch", "def f():\n    from torch.nn import Conv2d", "import torch.jit as j"]
)
def test_the_scan_sees(source: str) -> None:
    assert [name.split(".")[0] for _, name in _imports(source)] == ["torch"]
