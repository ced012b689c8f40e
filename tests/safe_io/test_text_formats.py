"""YAML and JSON: what people mean, and where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from vacc_deploy.safe_io import parse_json, parse_yaml, read_json_located, read_yaml

SCALARS: dict[str, Any] = {
    "1e-5": 1e-5, "1E3": 1000.0, ".5": 0.5, "5.": 5.0, "-2": -2, "+7": 7, "0x1f": 31, "0o17": 15, "0": 0,
    "true": True, "False": False, "on": "on", "yes": "yes", "null": None, "~": None, "": None, "None": "None",
    "12:30:45": "12:30:45",
    "2024-01-01": "2024-01-01", "'1'": "1", '"true"': "true", "!!str 5": "5", "1.2.3": "1.2.3",
    "./x/": "./x/", "1_000": 1000,
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_scalars(text: str) -> None:
    data, _ = parse_yaml(f"a: {text}\n", "f")
    assert data == {"a": SCALARS[text]}
    assert type(data["a"]) is type(SCALARS[text])


def test_positions_of_keys_and_values() -> None:
    text = "name: x\nbackend:\n  quantize:\n    modes: [a, {b: 1}]\n"
    data, positions = parse_yaml(text, "f.yaml")
    assert data == {"name": "x", "backend": {"quantize": {"modes": ["a", {"b": 1}]}}}
    assert positions.key(("backend", "quantize", "modes")) == "f.yaml:4:5"
    assert positions.value(("backend", "quantize", "modes", 1, "b")) == "f.yaml:4:20"
    assert positions.value(("backend", "quantize", "modes", 1, "missing")) == "f.yaml:4:16"
    assert positions.key(("nothing",)) == "f.yaml:1:1"


def test_anchors_and_merges() -> None:
    text = "base: &b {x: 1, y: 2}\nhere: {<<: *b, y: 3}\nlist: [*b, *b]\n"
    data, _ = parse_yaml(text, "f")
    assert data == yaml.safe_load(text)


def test_json_positions() -> None:
    text = '{\n  "a,:{": [1, {"b": "\\"x,}"}],\n\t"c": -1.5e3\n}'
    path = Path("f.json")
    assert parse_json(text, "f.json") == json.loads(text)
    from vacc_deploy.safe_io.strict_json import _locate

    positions = _locate(text, str(path))
    assert positions.key(("a,:{",)) == "f.json:2:3"
    assert positions.value(("a,:{", 1, "b")) == "f.json:2:21"
    assert positions.value(("c",)) == "f.json:3:7"


def test_zoo_yaml_agrees_with_pyyaml(shared_zoo: Path) -> None:
    files = sorted(shared_zoo.rglob("*.yaml"))
    assert len(files) == 234
    for file in files:
        assert read_yaml(file)[0] == yaml.load(file.read_text(), Loader=yaml.CSafeLoader), file


def test_zoo_json_agrees_with_json(shared_zoo: Path) -> None:
    files = sorted(shared_zoo.rglob("*.json"))
    assert len(files) == 552
    for file in files:
        data, positions = read_json_located(file)
        assert data == json.loads(file.read_text()), file
        assert all((key,) in positions.keys for key in data), file
