"""Mutates valid files, by bytes and by structure, and feeds them to what reads them.

    python tools/fuzz.py [--count 100000] [--seed 0] [--only yaml,onnx]

A reader may accept a mutant or refuse it with a `VdeployError`.  Anything else is a finding: another
exception, or more than the time limit.  The same seed gives the same mutants.  Findings are kept in --keep,
and the exit code is 1.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.artifact import Manifest, SelfTest, TensorSpec, read_artifact, write_artifact
from vacc_deploy.config import load_build_config, load_vdsp_params
from vacc_deploy.errors import VdeployError
from vacc_deploy.quantize.table import CalibrationTable, LayerEntry, TensorEntry
from vacc_deploy.safe_io import (
    read_checkpoint,
    read_json,
    read_npz,
    read_onnx,
    read_safetensors,
    read_text,
    read_yaml,
    write_npz,
    write_safetensors,
)

_ROOT = Path(__file__).resolve().parent.parent
_TIME_LIMIT_S = 5.0  # processor time of one mutant; a hang takes longer

_NUMBERS: tuple[Any, ...] = (0, -1, 1, 2**31, -(2**31), 2**63, 2**64, 10**30, 0.0, -0.0, 1e308, 1e-320)
_ODD_VALUES: tuple[Any, ...] = (
    *_NUMBERS, None, True, False, "", " ", "..", "../../etc/passwd", "/dev/zero", "\0", "\x1b[2J", "é",
    "𝕏" * 50, "a" * 5000, [], {}, [[]], [None], {"": ""}, {"a": {"a": {"a": 1}}}, "1e5", "nan",
    "0x10", "None",
)  # fmt: skip
_ODD_BYTES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"PK\x03\x04",
    b"\x93NUMPY",
    b"'",
    b'"',
    b"{",
    b"[",
    b"\n",
    b"1e999",
)


class HangError(Exception):
    """A mutant took longer than the time limit."""


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        suffix: Its ending.
        seeds: Valid files.
        read: Everything of the package that meets such a file.
        restructure: Changes a valid file's structure, keeping its format; None: bytes only.
    """

    suffix: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    restructure: Callable[[random.Random, bytes], bytes] | None = None


@dataclass
class Findings:
    """What a run came to."""

    accepted: collections.Counter[str] = field(default_factory=collections.Counter)
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    bad: list[tuple[str, bytes, str]] = field(default_factory=list)  # kind, mutant, traceback
    slowest_s: float = 0.0


# Mutations


def mutate_bytes(chance: random.Random, data: bytes) -> bytes:
    """Flip, cut, repeat, overwrite or insert a few bytes."""
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(mutant) + 1)
        length = chance.choice((1, 1, 2, 4, 8, 64))
        kind = chance.randrange(6)
        if kind == 0 and place < len(mutant):
            mutant[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del mutant[place : place + length]
        elif kind == 2:
            mutant[place:place] = mutant[place : place + length] * chance.choice((1, 2, 50))
        elif kind == 3:
            mutant[place : place + length] = chance.randbytes(length)
        elif kind == 4:
            mutant[place:place] = chance.choice(_ODD_BYTES)
        else:
            del mutant[place:]
    return bytes(mutant)


def mutate_value(chance: random.Random, value: Any) -> Any:
    """Change one place somewhere in nested dicts and lists."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value, key=str))
        changed = dict(value)
        action = chance.randrange(8)
        if action == 0:
            del changed[key]
        elif action == 1:
            changed[f"{key}{chance.choice('xs_ ')}"] = changed.pop(key)
        elif action == 2:
            changed[str(chance.choice(_ODD_VALUES))] = chance.choice(_ODD_VALUES)
        else:
            changed[key] = mutate_value(chance, value[key])
        return changed
    if isinstance(value, list) and value and chance.random() < 0.85:
        changed_list = list(value)
        place = chance.randrange(len(value))
        action = chance.randrange(6)
        if action == 0:
            del changed_list[place]
        elif action == 1:
            changed_list = changed_list * chance.choice((2, 40))
        else:
            changed_list[place] = mutate_value(chance, value[place])
        return changed_list
    return chance.choice(_ODD_VALUES)


def _restructure_yaml(chance: random.Random, data: bytes) -> bytes:
    value = mutate_value(chance, yaml.safe_load(data))
    return yaml.safe_dump(
        value, default_flow_style=chance.choice((True, False, None)), allow_unicode=True
    ).encode()


def _restructure_json(chance: random.Random, data: bytes) -> bytes:
    return json.dumps(mutate_value(chance, json.loads(data)), ensure_ascii=chance.random() < 0.5).encode()


def _restructure_zip(chance: random.Random, data: bytes) -> bytes:
    """Rename, drop, double or damage a member of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    if not members:
        return data
    place = chance.randrange(len(members))
    name, content = members[place]
    action = chance.randrange(5)
    if action == 0:
        del members[place]
    elif action == 1:
        members.append((name, mutate_bytes(chance, content)))
    elif action == 2:
        members[place] = (chance.choice(("../x", "/x", "a\\b", "x" * 600, "\n", name.upper())), content)
    else:
        members[place] = (name, mutate_bytes(chance, content))
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", chance.choice((0, 8))) as archive:
        warnings.simplefilter("ignore")  # a doubled member is what this is about
        for member, content in members:
            archive.writestr(zipfile.ZipInfo(member), content)
    return target.getvalue()


def _restructure_onnx(chance: random.Random, data: bytes) -> bytes:
    """Change a field of one message somewhere in an ONNX model."""
    model = onnx.ModelProto.FromString(data)
    messages: list[Any] = [model, model.graph, *model.opset_import]
    for group in (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output):
        messages += [*group, *(dim for value in group for dim in getattr(_shape(value), "dim", ()))]
    messages += [attribute for node in model.graph.node for attribute in node.attribute]
    message = chance.choice(messages)
    present = [item for item, _ in message.ListFields()]
    if not present:
        return data
    chosen = chance.choice(present)
    value = getattr(message, chosen.name)
    if chosen.is_repeated if hasattr(chosen, "is_repeated") else chosen.label == chosen.LABEL_REPEATED:
        action = chance.randrange(3)
        if action == 0 or chosen.message_type is not None:
            del value[chance.randrange(len(value)) :]
        elif isinstance(value[0], int):
            value[chance.randrange(len(value))] = chance.choice((0, -1, 7, 2**31 - 1, -(2**31)))
        elif isinstance(value[0], str):
            value[chance.randrange(len(value))] = chance.choice(("", "x", "image", "\x1b", "a" * 1000))
    elif chosen.message_type is not None:
        message.ClearField(chosen.name)
    elif isinstance(value, bytes):
        setattr(message, chosen.name, mutate_bytes(chance, value))
    elif isinstance(value, str):
        setattr(message, chosen.name, chance.choice(("", "x", "../x", "Loop", "Conv", "\x1b[2J", "a" * 1000)))
    elif isinstance(value, int):
        with contextlib.suppress(ValueError):  # beyond the field's type
            setattr(message, chosen.name, chance.choice((0, -1, 1, 3, 8, 99, 2**31 - 1, 2**62)))
    return bytes(model.SerializeToString())


def _shape(value: Any) -> Any:
    return value.type.tensor_type.shape if isinstance(value, onnx.ValueInfoProto) else None


def _restructure_safetensors(chance: random.Random, data: bytes) -> bytes:
    """Change the JSON header of a safetensors file, with a length that fits it."""
    length = int.from_bytes(data[:8], "little")
    header = _restructure_json(chance, data[8 : 8 + length])
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _parses(restructure: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, bytes], bytes]:
    """The mutation, or no change where an earlier one left nothing that its own parser reads."""

    def guarded(chance: random.Random, data: bytes) -> bytes:
        try:
            return restructure(chance, data)
        except (ValueError, TypeError, yaml.YAMLError, zipfile.BadZipFile, RecursionError, UnicodeError):
            return data

    return guarded


# Seeds


def _onnx_seed() -> bytes:
    shape = (1, 3, 8, 8)
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Resize", ["r", "", "scales"], ["y"], name="up", mode="nearest"),
    ]
    weights = [
        numpy_helper.from_array(np.ones((3, 3, 3, 3), np.float32), "w"),
        helper.make_tensor("b", TensorProto.FLOAT, (3,), [1.0, 2.0, 3.0]),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"),
    ]
    value = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("image", shape), ("y", None))
    ]
    graph = helper.make_graph(nodes, "seed", value[:1], value[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"vdeploy": '{"recipe": "x"}'})
    return bytes(model.SerializeToString())


def _artifact_seed(folder: Path) -> Path:
    spec = TensorSpec("x", (1, 3, 8, 8), "float16")
    code = folder / "code"
    code.write_bytes(b"\x7fELF")
    manifest = Manifest(
        name="seed",
        dtype="int8",
        target="generic",
        isa="portable",
        requires=("avx2",),
        inputs=(spec,),
        outputs=(spec,),
        run_stream=(),
        params=("w",),
        versions={"numpy": "2"},
        recipe={
            "protocol": "rgb",
            "postprocess": {"scale": 255.0, "shift": 0.0, "color": "rgb", "output": 0},
        },
    )
    weight = np.ones((3, 3), np.float16)
    return write_artifact(folder / "seed", manifest, code, {"w": weight}, SelfTest((weight,)))


def _read_build(path: Path) -> object:
    read_yaml(path)
    return load_build_config(path).effective()


def _read_table(path: Path) -> object:
    return CalibrationTable.from_json(read_text(path), str(path))


def _read_manifest(path: Path) -> object:
    artifact = read_artifact(path.parent)
    manifest = artifact.manifest
    return manifest.preprocess, manifest.postprocess, manifest.protocol, manifest.int8_mac_share()


def kinds(folder: Path) -> dict[str, Kind]:
    """All kinds of files, with seeds made in `folder` or taken from what the package ships."""
    arrays: dict[str, Any] = {
        "image": np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4),
        "mask": np.ones(5, np.uint8),
    }
    write_npz(folder / "seed.npz", arrays)
    write_safetensors(
        folder / "seed.safetensors", {**arrays, "half": np.ones(3, np.float16)}, {"made": "by hand"}
    )
    manifest = _artifact_seed(folder).with_suffix(".json").read_bytes()
    tensors = (folder / "seed.safetensors").read_bytes()
    builds = tuple(path.read_bytes() for path in sorted((_ROOT / "build_configs").glob("*.yaml")))
    vdsp = tuple(path.read_bytes() for path in sorted((_ROOT / "vdsp_params").glob("*.json")))
    return {
        "yaml": Kind(".yaml", builds, _read_build, _parses(_restructure_yaml)),
        "vdsp": Kind(".json", vdsp, load_vdsp_params, _parses(_restructure_json)),
        "json": Kind(".json", vdsp, read_json, _parses(_restructure_json)),
        "npz": Kind(".npz", ((folder / "seed.npz").read_bytes(),), read_npz, _parses(_restructure_zip)),
        "onnx": Kind(".onnx", (_onnx_seed(),), read_onnx, _parses(_restructure_onnx)),
        "mod.json": Kind(".json", (manifest,), _read_manifest, _parses(_restructure_json)),
        "safetensors": Kind(".safetensors", (tensors,), read_safetensors, _parses(_restructure_safetensors)),
        "checkpoint": Kind(".pth", _checkpoint_seeds(tensors), read_checkpoint, None),
        "table": Kind(".json", (_table_seed(),), _read_table, _parses(_restructure_json)),
    }


def _checkpoint_seeds(tensors: bytes) -> tuple[bytes, ...]:
    """A torch archive as torch writes it, made without torch, and a safetensors file."""
    # {'w': _rebuild_tensor_v2(storage '0', 0, (2,), (1,))} in protocol 2
    pickled = (
        b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storage"
        b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89}tRs."
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in (("data.pkl", pickled), ("data/0", b"\0" * 8), ("version", b"3\n")):
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    return target.getvalue(), tensors


def _table_seed() -> bytes:
    layer = LayerEntry("Conv", "int8", "default", 1000, 0.1, 0.2, (1.0, 1.5), (0.0, 0.25))
    table = CalibrationTable(
        model_digest="0" * 64,
        pictures=4,
        settings={"scheme": "symmetric", "weight_scale": "max", "per_channel": True, "mode": "max"},
        tensors={
            "image": TensorEntry(-1.0, 1.0, "max", -0.5, 1.0),
            "y": TensorEntry(0.0, 3.5, "mse", 0.0, 4.0),
        },
        layers={"conv": layer},
        warnings=("seed",),
    )
    return table.to_json().encode()


# The run


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise HangError(f"over {seconds:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def mutants(kind: Kind, chance: random.Random) -> Iterator[bytes]:
    """Endless mutants of a kind's seeds: half of them by structure, then by bytes as well now and then."""
    while True:
        data = chance.choice(kind.seeds)
        if kind.restructure is not None and chance.random() < 0.6:
            # Structure first, bytes last: what is changed by structure must still parse.
            for _ in range(chance.choice((1, 1, 2, 3))):
                data = kind.restructure(chance, data)
            if chance.random() < 0.8:
                yield data
                continue
        yield mutate_bytes(chance, data)


def fuzz(count: int, seed: int, only: frozenset[str] = frozenset()) -> Findings:
    """Try `count` mutants, shared out over the kinds."""
    findings = Findings()
    with tempfile.TemporaryDirectory(prefix="vdeploy-fuzz-") as scratch:
        folder = Path(scratch)
        chosen = {name: kind for name, kind in kinds(folder).items() if not only or name in only}
        for index, (name, kind) in enumerate(chosen.items()):
            share = count // len(chosen) + (index < count % len(chosen))
            path = folder / ("mod.json" if name == "mod.json" else f"mutant{kind.suffix}")
            stream = mutants(kind, random.Random(f"{seed} {name}"))
            for _ in range(share):
                _try(name, kind, path, next(stream), findings)
    return findings


def _try(name: str, kind: Kind, path: Path, mutant: bytes, findings: Findings) -> None:
    path.write_bytes(mutant)
    start = time.process_time()
    try:
        with _time_limit(_TIME_LIMIT_S):
            kind.read(path)
        findings.accepted[name] += 1
    except VdeployError as error:
        if len(str(error)) > 40_000:
            findings.bad.append((name, mutant, f"an error of {len(str(error))} characters"))
        else:
            findings.refused[name] += 1
    except Exception:
        findings.bad.append((name, mutant, traceback.format_exc()))
    findings.slowest_s = max(findings.slowest_s, time.process_time() - start)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds, separated by commas")
    parser.add_argument("--keep", type=Path, default=Path("fuzz_findings"), help="folder for what was found")
    options = parser.parse_args()
    findings = fuzz(options.count, options.seed, frozenset(filter(None, options.only.split(","))))
    for name in sorted(findings.accepted.keys() | findings.refused.keys()):
        print(f"{name:<12} {findings.accepted[name]:>7} accepted  {findings.refused[name]:>7} refused")
    total = findings.accepted.total() + findings.refused.total() + len(findings.bad)
    print(
        f"{total} mutants, seed {options.seed}: {len(findings.bad)} findings, "
        f"slowest {1000 * findings.slowest_s:.0f} ms"
    )
    seen: set[str] = set()
    for index, (name, mutant, trace) in enumerate(findings.bad):
        place = trace.strip().splitlines()[-3:]
        if (key := f"{name} {place[0]}") in seen:
            continue
        seen.add(key)
        options.keep.mkdir(exist_ok=True)
        (options.keep / f"{name}-{index}").write_bytes(mutant)
        print(f"\n{name}, kept as {options.keep}/{name}-{index}\n{trace}")
    return int(bool(findings.bad))


if __name__ == "__main__":
    sys.exit(main())
