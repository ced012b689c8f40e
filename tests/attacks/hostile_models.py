"""ONNX models that reach outside their folder or promise data they do not hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from attack import Attack, data
from hostile_arrays import sparse
from onnx import TensorProto, helper, numpy_helper

from vacc_deploy.safe_io import read_onnx


def model(weight: Any = None, node: Any = None) -> onnx.ModelProto:
    """A one-node model with one weight."""
    weight = numpy_helper.from_array(np.ones((2, 2), np.float32), "w") if weight is None else weight
    node = helper.make_node("Mul", ["x", "w"], ["y"]) if node is None else node
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", values[:1], values[1:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def external(location: str, **entries: str) -> Any:
    """A tensor that wants its 16 bytes from `location`."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2, 2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def saved(build: Callable[[Path], onnx.ModelProto]) -> Callable[[Path], Any]:
    """A builder that stores what `build` makes; `build` may put files beside it."""
    return lambda path: path.write_bytes(build(path).SerializeToString())


def _secret(path: Path) -> Path:
    """A file outside the model's folder that an attacker would like to read."""
    secret = path.parent.parent / "secret.bin"
    secret.write_bytes(b"\0" * 16)
    return secret


def _traversal(path: Path) -> onnx.ModelProto:
    _secret(path)
    return model(external("../secret.bin"))


def _absolute(path: Path) -> onnx.ModelProto:
    return model(external(str(_secret(path).resolve())))


def _symlink(path: Path) -> onnx.ModelProto:
    (path.parent / "w.bin").symlink_to(_secret(path))
    return model(external("w.bin"))


def _folder_symlink(path: Path) -> onnx.ModelProto:
    _secret(path)
    (path.parent / "sub").symlink_to(path.parent.parent)
    return model(external("sub/secret.bin"))


def _hardlink(path: Path) -> onnx.ModelProto:
    os.link(_secret(path), path.parent / "w.bin")
    return model(external("w.bin"))


def _pipe(path: Path) -> onnx.ModelProto:
    os.mkfifo(path.parent / "w.bin")
    return model(external("w.bin"))


def _short(path: Path) -> onnx.ModelProto:
    (path.parent / "w.bin").write_bytes(b"\0" * 8)
    return model(external("w.bin"))


def _with_data(path: Path, **entries: str) -> onnx.ModelProto:
    (path.parent / "w.bin").write_bytes(b"\0" * 64)
    return model(external("w.bin", **entries))


def _in_attribute(path: Path) -> onnx.ModelProto:
    _secret(path)
    node = helper.make_node("Constant", [], ["y"], value=external("../secret.bin"))
    return model(node=node)


def _in_subgraph(path: Path) -> onnx.ModelProto:
    _secret(path)
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, [2, 2])
    branch = helper.make_graph([helper.make_node("Identity", ["v"], ["z"])], "b", [], [output])
    branch.initializer.append(external("../secret.bin"))
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    return model(node=node)


def _many_external(path: Path) -> onnx.ModelProto:
    """Seven tensors of the same gigabyte of zeros, which takes no disk space."""
    with (path.parent / "w.bin").open("wb") as file:
        file.truncate(1 << 30)
    weight = external("w.bin")
    weight.dims[:] = [1 << 28]
    result = model(weight)
    for _ in range(6):
        result.graph.initializer.append(weight)
    return result


def _message(number: int, content: bytes) -> bytes:
    """A protobuf field that holds a message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded, value = encoded + bytes([value & 127 | 128]), value >> 7
    return encoded + bytes([value])


def _graph(fields: bytes) -> Callable[[Path], Any]:
    """A builder for a model of these fields of a graph, and an output."""
    graph = fields + _message(12, _message(1, b"y"))
    return data(b"\x08\x08" + _message(7, graph) + _message(8, b"\x10\x11"))


def _raw(dims: list[int], raw: bytes, kind: int = TensorProto.FLOAT) -> Callable[[Path], onnx.ModelProto]:
    return lambda path: model(TensorProto(name="w", data_type=kind, dims=dims, raw_data=raw))


MODEL_ATTACKS = {
    "onnx-external-traversal": Attack(
        "../ in the location (CVE-2024-5187)", "m/a.onnx", saved(_traversal), read_onnx, "wants its data"
    ),
    "onnx-external-absolute": Attack(
        "an absolute location", "m/a.onnx", saved(_absolute), read_onnx, "wants its data"
    ),
    "onnx-external-symlink": Attack(
        "a link to a secret (CVE-2026-27489)", "m/a.onnx", saved(_symlink), read_onnx, "through a link"
    ),
    "onnx-external-folder-symlink": Attack(
        "a linked folder", "m/a.onnx", saved(_folder_symlink), read_onnx, "through a link"
    ),
    "onnx-external-hardlink": Attack(
        "a second name of a secret", "m/a.onnx", saved(_hardlink), read_onnx, "unshared"
    ),
    "onnx-external-pipe": Attack(
        "a pipe: reading would hang for ever", "m/a.onnx", saved(_pipe), read_onnx, "unshared"
    ),
    "onnx-external-windows": Attack(
        "a drive letter",
        "m/a.onnx",
        saved(lambda p: model(external("C:\\x.bin"))),
        read_onnx,
        "wants its data",
    ),
    "onnx-external-null": Attack(
        "a null in the location",
        "m/a.onnx",
        saved(lambda p: model(external("w\0.bin"))),
        read_onnx,
        "wants its data",
    ),
    "onnx-external-missing": Attack(
        "no such file", "m/a.onnx", saved(lambda p: model(external("w.bin"))), read_onnx, "missing"
    ),
    "onnx-external-no-location": Attack(
        "no location", "m/a.onnx", saved(lambda p: model(external(""))), read_onnx, "unknown way"
    ),
    "onnx-external-short": Attack("8 of 16 bytes", "m/a.onnx", saved(_short), read_onnx, "ends at byte"),
    "onnx-external-beyond": Attack(
        "an offset behind the end",
        "m/a.onnx",
        saved(lambda p: _with_data(p, offset="60")),
        read_onnx,
        "ends at byte",
    ),
    "onnx-external-negative": Attack(
        "a negative offset",
        "m/a.onnx",
        saved(lambda p: _with_data(p, offset="-8")),
        read_onnx,
        "impossible offset",
    ),
    "onnx-external-wrong-length": Attack(
        "a length that does not fit the shape",
        "m/a.onnx",
        saved(lambda p: _with_data(p, length="64")),
        read_onnx,
        "needs 16 bytes",
    ),
    "onnx-external-injection": Attack(
        "unknown keys (CVE-2026-34445)",
        "m/a.onnx",
        saved(lambda p: _with_data(p, __class__="x")),
        read_onnx,
        "unknown way",
    ),
    "onnx-external-not-text": Attack(
        "bytes that are not UTF-8, which protobuf hands out as bytes instead of text",
        "m/a.onnx",
        lambda path: path.write_bytes(
            model(external("w.bin")).SerializeToString().replace(b"w.bin", b"w\xff\xfein")
        ),
        read_onnx,
        "unknown way",
    ),
    "onnx-name-not-text": Attack(
        "an operator's name that is not UTF-8",
        "a.onnx",
        lambda path: path.write_bytes(model().SerializeToString().replace(b"Mul", b"M\xffl")),
        read_onnx,
        "not UTF-8",
    ),
    "onnx-name-repaints-terminal": Attack(
        "an operator's name that clears the screen of whoever lists it",
        "a.onnx",
        lambda path: path.write_bytes(model().SerializeToString().replace(b"Mul", b"\x1b[m")),
        read_onnx,
        "control characters",
    ),
    "onnx-external-in-attribute": Attack(
        "hidden in a node's attribute", "m/a.onnx", saved(_in_attribute), read_onnx, "wants its data"
    ),
    "onnx-external-in-subgraph": Attack(
        "hidden in an If's branch", "m/a.onnx", saved(_in_subgraph), read_onnx, "wants its data"
    ),
    "onnx-8-tebibytes": Attack(
        "a shape without data", "a.onnx", saved(_raw([1 << 40, 2], b"")), read_onnx, "promises"
    ),
    "onnx-negative-shape": Attack(
        "a negative side", "a.onnx", saved(_raw([-1], b"")), read_onnx, "impossible shape"
    ),
    "onnx-rank-bomb": Attack(
        "a thousand axes", "a.onnx", saved(_raw([1] * 1000, b"\0" * 4)), read_onnx, "impossible shape"
    ),
    "onnx-wrong-size": Attack(
        "3 of 16 bytes", "a.onnx", saved(_raw([2, 2], b"\0" * 3)), read_onnx, "promises 16"
    ),
    "onnx-unknown-type": Attack(
        "an unknown element type", "a.onnx", saved(_raw([2, 2], b"\0" * 16, 99)), read_onnx, "unknown type"
    ),
    "onnx-many-external": Attack(
        "7 GiB of one gigabyte", "m/a.onnx", saved(_many_external), read_onnx, "external data are larger"
    ),
    "onnx-many-nodes": Attack(
        "a million empty nodes: 2 bytes each in the file and a hundred in memory",
        "a.onnx",
        _graph(b"\x0a\0" * 1_000_000),
        read_onnx,
        "fields",
    ),
    "onnx-many-attributes": Attack(
        "the same in one node", "a.onnx", _graph(_message(1, b"\x2a\0" * 1_000_000)), read_onnx, "fields"
    ),
    "onnx-many-names": Attack(
        "a node of a million inputs",
        "a.onnx",
        _graph(_message(1, b"\x0a\0" * 1_000_000)),
        read_onnx,
        "fields",
    ),
    "onnx-sparse-giant": Attack(
        "2 GiB of nothing, which take no disk space",
        "a.onnx",
        sparse((2 << 30) - 10),
        read_onnx,
        "not an ONNX model",
    ),
    "onnx-field-beyond-end": Attack(
        "a text that ends after the file",
        "a.onnx",
        data(b"\x08\x08\x32\x7fabc"),
        read_onnx,
        "beyond its message",
    ),
    "onnx-endless-number": Attack(
        "a number without an end", "a.onnx", data(b"\x0a" + b"\xff" * 99), read_onnx, "number without an end"
    ),
    "onnx-empty": Attack(
        "no bytes: an empty protobuf is valid", "a.onnx", data(b""), read_onnx, "no version"
    ),
    "onnx-junk": Attack("noise", "a.onnx", data(b"\xff" * 1000), read_onnx, "not an ONNX model"),
    "onnx-deep-protobuf": Attack(
        "messages nested 100 000 deep",
        "a.onnx",
        data(b"\x3a\xff\xff\x7f\x0a\xff\xff\x7f\x2a\xff\xff\x7f" * 30_000),
        read_onnx,
        "not an ONNX model",
    ),
    "onnx-truncated": Attack(
        "half a file",
        "a.onnx",
        lambda path: path.write_bytes(model().SerializeToString()[:-20]),
        read_onnx,
        "not an ONNX model",
    ),
    "onnx-lfs-pointer": Attack(
        "a Git LFS pointer",
        "a.onnx",
        data(b"version https://git-lfs.github.com/spec/v1\n"),
        read_onnx,
        "Git LFS",
    ),
}
