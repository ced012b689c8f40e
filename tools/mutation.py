"""Mutation testing of the functions that round: is there a test that notices when one is wrong?

    python tools/mutation.py [--only fixed_point] [--share 0/4]

Each mutant is one changed operator, comparison, constant or rounding function in one module.  It is killed if
the module's tests fail, or do not end.  Survivors are printed with their line; the exit code is 1 below 95 %.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_CPU_LIMIT_S = 60  # processor time, so that a busy machine kills no mutant
_GOAL = 0.95

# Module → the tests that must notice.
TARGETS = {
    "vacc_deploy.runtime.reference.fixed_point": (
        "tests/runtime/reference/test_fixed_point_limits.py",
        "tests/runtime/reference/test_fixed_point.py",
    ),
    "vacc_deploy.quantize.scheme": ("tests/quantize/test_scheme.py",),
}

# (part of the line, ^ before the place that is changed; mutation) → why no test could tell.
_EQUIVALENT: dict[tuple[str, str], str] = {
    ("& (^x > 0)", "Gt → GtE"): "0 has no remainder of one half",
    ("weight.shape[axis], -^1)", "1 → 2"): "numpy takes any negative size for the open one",
    ("reshape(1, -^1)", "1 → 2"): "likewise",
    ("or ^scale > _SMALLEST_SCALE", "Gt → GtE"): "both sides give the same number there",
    ("np.rint(-low / float(scale)), 0, ^255)", "255 → 256"): "no range comes so far",
    ("& (^wide >= 0)", "GtE → Gt"): "0 has no remainder of one half",
    ("& (wide >= ^0)", "0 → 1"): "likewise",
    ("np.where(^largest > 0, safe / 128", "Gt → GtE"): "a channel of zeros has 128 / 128 there, too",
    ("np.float32)).astype(^np.float64)", "float64 → float32"): "adding a float64 zero point widens it again",
}

_OPERATORS: dict[type[Any], type[Any]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
_COMPARISONS: dict[type[Any], tuple[type[Any], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}  # fmt: skip
_NAMES = {
    "rint": "floor", "floor": "rint", "ceil": "floor", "round": "floor", "min": "max", "max": "min",
    "minimum": "maximum", "maximum": "minimum", "float32": "float16", "float64": "float32", "int32": "int16",
    "int64": "int32", "any": "all", "all": "any", "abs": "negative", "log2": "log",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One changed place."""

    line: int
    column: int
    what: str
    source: str

    def is_equivalent(self, lines: Sequence[str]) -> bool:
        """Whether `_EQUIVALENT` lists it; `lines` are those of the module before it was changed."""
        line = lines[self.line - 1].encode()
        marked = (line[: self.column] + b"^" + line[self.column :]).decode()
        return any(place in marked and what == self.what for place, what in _EQUIVALENT)


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    changes = sorted(_changes(tree), key=lambda change: change[:3])
    for line, column, what, apply, undo in changes:
        apply()
        yield Mutant(line, column, what, ast.unparse(tree))
        undo()


_Change = tuple[int, int, str, Callable[[], None], Callable[[], None]]


def _change(node: Any, field: str, new: Any, what: str) -> _Change:
    old = getattr(node, field)
    apply, undo = lambda: setattr(node, field, new), lambda: setattr(node, field, old)
    return node.lineno, node.col_offset, what, apply, undo


def _changes(tree: ast.Module) -> Iterator[_Change]:
    ignored = _not_code(tree)
    for node in ast.walk(tree):
        if id(node) in ignored:
            continue
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATORS:
            new = _OPERATORS[type(node.op)]
            yield _change(node, "op", new(), f"{type(node.op).__name__} → {new.__name__}")
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
            for new in _COMPARISONS[type(node.ops[0])]:
                what = f"{type(node.ops[0]).__name__} → {new.__name__}"
                yield _change(node, "ops", [new(), *node.ops[1:]], what)
        elif isinstance(node, ast.BoolOp):
            new = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield _change(node, "op", new(), f"{type(node.op).__name__} → {new.__name__}")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Invert)):
            yield _change(node, "op", ast.UAdd(), "sign or complement dropped")
        elif isinstance(node, (ast.If, ast.IfExp)):
            yield _change(node, "test", ast.UnaryOp(ast.Not(), node.test), "condition turned round")
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield _change(node, "value", not node.value, f"{node.value} → {not node.value}")
        elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            yield _change(node, "value", node.value + 1, f"{node.value} → {node.value + 1}")
        elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
            yield _change(node, "attr", _NAMES[node.attr], f"{node.attr} → {_NAMES[node.attr]}")
        elif isinstance(node, ast.Name) and node.id in _NAMES:
            yield _change(node, "id", _NAMES[node.id], f"{node.id} → {_NAMES[node.id]}")


def _not_code(tree: ast.Module) -> set[int]:
    """Nodes that do not compute: annotations, decorators, and the messages of errors."""
    ignored: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parts = [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            parts = [*node.decorator_list]
        elif isinstance(node, (ast.arg, ast.AnnAssign)):
            parts = [node.annotation]
        elif isinstance(node, ast.Raise):
            parts = [node]
        for part in parts:
            ignored |= {id(child) for child in ast.walk(part)} if part is not None else set()
    return ignored


class _Impostor(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Hands out a mutant when its module is imported."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self.module, self.path, self.source = module, path, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def is_killed(module: str, path: Path, source: str, tests: Sequence[str]) -> bool:
    """Whether the tests fail with this source in the module's place; runs them in a child process."""
    child = os.fork()
    if child == 0:
        # An endless loop is a killed mutant too.
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_LIMIT_S, _CPU_LIMIT_S))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.meta_path.insert(0, _Impostor(module, path, source))
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *tests])))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


def survivors(module: str, tests: Sequence[str], share: tuple[int, int]) -> tuple[int, list[Mutant]]:
    """How many mutants of a module were tried, and those that no test noticed.

    Args:
        module: The module to mutate.
        tests: The files of its tests.
        share: ``(i, n)``: every n-th mutant from the i-th on.
    """
    path = _ROOT / Path(*module.split(".")).with_suffix(".py")
    source = path.read_text()
    lines = source.splitlines()
    if is_killed(module, path, source, tests):
        raise SystemExit(f"{module}: its tests fail without any mutation")
    tried, alive = 0, []
    for mutant in itertools.islice(mutants(source), share[0], None, share[1]):
        if mutant.is_equivalent(lines):
            continue
        tried += 1
        if not is_killed(module, path, mutant.source, tests):
            alive.append(mutant)
            print(
                f"  {path.name}:{mutant.line}: {mutant.what}    {lines[mutant.line - 1].strip()}", flush=True
            )
    return tried, alive


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="modules whose name ends so")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th mutant from the i-th on")
    options = parser.parse_args()
    os.chdir(_ROOT)
    for preload in ("numpy", "onnx", "onnxruntime", "pytest"):  # paid for once, not for each mutant
        importlib.import_module(preload)
    first, step = map(int, options.share.split("/"))
    enough = True
    for module, tests in TARGETS.items():
        if not module.endswith(options.only):
            continue
        tried, alive = survivors(module, tests, (first, step))
        score = 1 - len(alive) / max(tried, 1)
        enough &= score >= _GOAL
        print(f"{module}: {tried - len(alive)} of {tried} mutants killed, {100 * score:.1f} %")
    return int(not enough)


if __name__ == "__main__":
    sys.exit(main())
