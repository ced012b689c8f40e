"""A slice of tools/fuzz.py; the whole of it runs by hand."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_TOOL = Path(__file__).resolve().parents[2] / "tools" / "fuzz.py"
_KINDS = ("checkpoint", "json", "mod.json", "npz", "onnx", "safetensors", "table", "vdsp", "yaml")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_tool", _TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_tool"] = module
    spec.loader.exec_module(module)
    return module


tool: Any = _load()


@pytest.mark.parametrize("kind", _KINDS)
def test_mutants_are_accepted_or_refused(kind: str) -> None:
    findings = tool.fuzz(150, seed=7, only=frozenset({kind}))
    assert not findings.bad, findings.bad[0][2]
    assert findings.refused[kind] > 20, "mutants that are all valid test nothing"
    assert findings.accepted[kind], "mutants that are all broken test only the first check"


def test_all_kinds_are_listed(tmp_path: Path) -> None:
    kinds = tool.kinds(tmp_path)
    assert tuple(sorted(kinds)) == _KINDS
    for name, kind in kinds.items():
        folder = tmp_path / name
        folder.mkdir()
        path = folder / ("mod.json" if name == "mod.json" else f"seed{kind.suffix}")
        for seed in kind.seeds:
            path.write_bytes(seed)
            kind.read(path)  # a seed that is refused would make all of its mutants worthless


def test_a_seed_gives_the_same_mutants(tmp_path: Path) -> None:
    kind = tool.kinds(tmp_path)["yaml"]
    streams = [tool.mutants(kind, random.Random("3 yaml")) for _ in range(2)]
    assert [next(streams[0]) for _ in range(20)] == [next(streams[1]) for _ in range(20)]


def test_a_finding_is_reported(tmp_path: Path) -> None:
    def fail(_path: Path) -> None:
        raise KeyError("untyped")

    findings = tool.Findings()
    tool._try("bad", tool.Kind(".x", (b"x",), fail), tmp_path / "x", b"x", findings)
    assert len(findings.bad) == 1
    assert "KeyError" in findings.bad[0][2]


def test_a_hang_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_path: Path) -> None:
        while True:
            pass

    monkeypatch.setattr(tool, "_TIME_LIMIT_S", 0.05)
    findings = tool.Findings()
    tool._try("bad", tool.Kind(".x", (b"x",), hang), tmp_path / "x", b"x", findings)
    assert "HangError" in findings.bad[0][2]
