"""npz, npy and safetensors files that promise what they do not hold."""

from __future__ import annotations

import io
import json
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attack import Attack, data

from vacc_deploy.safe_io import read_npy, read_npz, read_safetensors


def npy(header: str, body: bytes = b"", version: int = 1) -> bytes:
    """An npy file with the given header text."""
    text = header.encode("latin-1")
    length = struct.pack("<H", len(text)) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


def real_npy(array: Any = None) -> bytes:
    """An honest npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 3), np.float32) if array is None else array, allow_pickle=True)
    return buffer.getvalue()


def header(shape: str, descr: str = "'<f4'") -> str:
    """An npy header."""
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': ({shape}), }}\n"


def sparse(size: int, head: bytes = b"") -> Callable[[Path], Any]:
    """A builder for a file that begins with `head` and goes on with zeros that take no room on the disk."""

    def build(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)

    return build


def npz(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> Callable[[Path], Any]:
    """A builder for a zip archive of these members, duplicates allowed."""

    def build(path: Path) -> None:
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
            warnings.simplefilter("ignore")
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name), content, compression)

    return build


def patched(build: Callable[[Path], Any], change: Callable[[bytearray], Any]) -> Callable[[Path], Any]:
    """The same file with some bytes changed."""

    def patch(path: Path) -> None:
        build(path)
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)

    return patch


def _flip_data(content: bytearray) -> None:
    content[content.index(b"\x93NUMPY") + 130] ^= 0xFF


def _encrypt(content: bytearray) -> None:
    content[content.index(b"PK\x01\x02") + 8] |= 1


def _lie_about_size(content: bytearray) -> None:
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", 0x7FFF0000)


def _overlap(content: bytearray) -> None:
    """Let the second entry of the directory point at the first one's data, many times over."""
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    content[second + 20 : second + 28] = struct.pack("<II", len(content), len(content))


def safetensors(entries: Any, body: bytes = b"") -> Callable[[Path], Any]:
    """A builder for a safetensors file with this header."""
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return data(struct.pack("<Q", len(text)) + text + body)


def _entry(begin: int = 0, end: int = 8, dtype: str = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


_ZEROS = b"\0" * (64 << 20)

ARRAY_ATTACKS = {
    "npz-8-tebibytes": Attack(
        "244 bytes that make numpy allocate 8 TiB",
        "a.npz",
        npz([("x.npy", npy(header("1099511627776, 2")))]),
        read_npz,
        "promises",
    ),
    "npz-negative-shape": Attack(
        "a negative side", "a.npz", npz([("x.npy", npy(header("-1,")))]), read_npz, "header"
    ),
    "npz-absurd-rank": Attack(
        "a hundred axes", "a.npz", npz([("x.npy", npy(header("1," * 100)))]), read_npz, "shape is absurd"
    ),
    "npz-overflowing-shape": Attack(
        "sides whose product overflows 64 bits to a small number",
        "a.npz",
        npz([("x.npy", npy(header("4294967296, 4294967296, 16")))]),
        read_npz,
        "promises",
    ),
    "npy-empty-but-huge": Attack(
        "no items along one axis, 10^18 along others: numpy raises an error of its own",
        "a.npy",
        data(npy(header("0, 999999999999999999, 999999999999999999"))),
        read_npy,
        "absurd",
    ),
    "npy-float8": Attack(
        "a float of one byte, which numpy does not have",
        "a.npy",
        data(npy(header("4,", "'<f1'"), b"\0" * 4)),
        read_npy,
        "plain number",
    ),
    "npz-pickle": Attack(
        "an object array: numpy would unpickle it, which runs code",
        "a.npz",
        npz([("x.npy", real_npy(np.array([{"a": 1}], dtype=object)))]),
        read_npz,
        "Python objects",
    ),
    "npz-structured": Attack(
        "a record type",
        "a.npz",
        npz([("x.npy", real_npy(np.zeros(2, [("a", "<f4")])))]),
        read_npz,
        "plain number",
    ),
    "npz-header-code": Attack(
        "a header that is a Python expression",
        "a.npz",
        npz(
            [
                (
                    "x.npy",
                    npy("{'descr': __import__('os').getcwd(), 'fortran_order': False, 'shape': (1,), }\n"),
                )
            ]
        ),
        read_npz,
        "header is damaged",
    ),
    "npz-deep-header": Attack(
        "a header nested so deep that the parser overflows",
        "a.npz",
        npz([("x.npy", npy("(" * 9000 + ")" * 9000))]),
        read_npz,
        "header is damaged",
    ),
    "npz-duplicate": Attack(
        "the same name twice: numpy silently takes the last",
        "a.npz",
        npz([("x.npy", real_npy()), ("x.npy", real_npy())]),
        read_npz,
        "stands twice",
    ),
    "npz-duplicate-by-ending": Attack(
        "x and x.npy are one array name",
        "a.npz",
        npz([("x", real_npy()), ("x.npy", real_npy())]),
        read_npz,
        "stands twice",
    ),
    "npz-traversal": Attack(
        "a name that leads out of the folder when unpacked",
        "a.npz",
        npz([("../../etc/x.npy", real_npy())]),
        read_npz,
        "not allowed",
    ),
    "npz-backslash": Attack(
        "the same for Windows", "a.npz", npz([("..\\x.npy", real_npy())]), read_npz, "not allowed"
    ),
    "npz-control-name": Attack(
        "a name that repaints the terminal",
        "a.npz",
        npz([("\x1b[2Jx.npy", real_npy())]),
        read_npz,
        "not allowed",
    ),
    "npz-long-name": Attack(
        "a name of 60 kB", "a.npz", npz([("x" * 60_000, real_npy())]), read_npz, "characters"
    ),
    "npz-bomb": Attack(
        "64 MiB of zeros in 64 kB",
        "a.npz",
        npz([("x.npy", npy(header("16777216,")) + _ZEROS)], zipfile.ZIP_DEFLATED),
        read_npz,
        "would grow",
    ),
    "npz-overlapping": Attack(
        "members that share their bytes, the cheapest bomb",
        "a.npz",
        patched(npz([("x.npy", real_npy()), ("y.npy", real_npy())]), _overlap),
        read_npz,
        "overlap",
    ),
    "npz-lying-size": Attack(
        "a directory that says 2 GiB",
        "a.npz",
        patched(npz([("x.npy", real_npy())]), _lie_about_size),
        read_npz,
        "would grow",
    ),
    "npz-bit-flip": Attack(
        "one flipped bit", "a.npz", patched(npz([("x.npy", real_npy())]), _flip_data), read_npz, "unpacked"
    ),
    "npz-encrypted": Attack(
        "a password", "a.npz", patched(npz([("x.npy", real_npy())]), _encrypt), read_npz, "encrypted"
    ),
    "npz-unusual-compression": Attack(
        "lzma, which has its own bombs",
        "a.npz",
        npz([("x.npy", real_npy())], zipfile.ZIP_LZMA),
        read_npz,
        "unusual",
    ),
    "npz-truncated": Attack(
        "half a file",
        "a.npz",
        patched(npz([("x.npy", real_npy())]), lambda c: c.__delitem__(slice(100, None))),
        read_npz,
        "cannot be opened",
    ),
    "npz-empty": Attack("no bytes", "a.npz", data(b""), read_npz, "empty"),
    "npz-no-arrays": Attack("no arrays", "a.npz", npz([]), read_npz, "no arrays"),
    "npz-not-array": Attack(
        "a text file inside", "a.npz", npz([("x.npy", b"hello")]), read_npz, "not a numpy array"
    ),
    "npz-junk": Attack("noise", "a.npz", data(b"\x12\x34" * 500), read_npz, "not a zip archive"),
    "npz-gzip": Attack("the wrong archive", "a.npz", data(b"\x1f\x8b" + b"0" * 50), read_npz, "gzip"),
    "npy-32-gibibytes": Attack(
        "80 bytes that ask for 32 GiB", "a.npy", data(npy(header("8589934592,"))), read_npy, "promises"
    ),
    "npy-huge-header": Attack(
        "a header of 4 GiB", "a.npy", data(b"\x93NUMPY\x02\0\xff\xff\xff\xff{"), read_npy, "header is damaged"
    ),
    "npy-cut": Attack("cut in the magic", "a.npy", data(b"\x93NUMPY\x01"), read_npy, "header is damaged"),
    "npy-pickle": Attack("a bare pickle", "a.npy", data(pickle.dumps([1])), read_npy, "not a numpy array"),
    "safetensors-huge-header": Attack(
        "a header of 2^63 bytes",
        "a.safetensors",
        data(struct.pack("<Q", 1 << 63) + b"{}"),
        read_safetensors,
        "not a safetensors",
    ),
    "safetensors-short": Attack("three bytes", "a.safetensors", data(b"abc"), read_safetensors, "too short"),
    "safetensors-hole": Attack(
        "unused bytes between tensors, where anything can hide",
        "a.safetensors",
        safetensors({"a": _entry(0, 8), "b": _entry(16, 24)}, b"\0" * 24),
        read_safetensors,
        "hole",
    ),
    "safetensors-overlap": Attack(
        "two tensors on the same bytes",
        "a.safetensors",
        safetensors({"a": _entry(0, 8), "b": _entry(4, 12)}, b"\0" * 12),
        read_safetensors,
        "overlaps",
    ),
    "safetensors-trailing": Attack(
        "bytes after the last tensor",
        "a.safetensors",
        safetensors({"a": _entry()}, b"\0" * 80),
        read_safetensors,
        "take 8 bytes",
    ),
    "safetensors-beyond-end": Attack(
        "a tensor beyond the end",
        "a.safetensors",
        safetensors({"a": _entry()}, b""),
        read_safetensors,
        "take 8 bytes",
    ),
    "safetensors-shape-overflow": Attack(
        "2^40 × 2^40 items in 8 bytes",
        "a.safetensors",
        safetensors({"a": _entry(shape=(1 << 40, 1 << 40))}, b"\0" * 8),
        read_safetensors,
        "does not fit",
    ),
    "safetensors-negative": Attack(
        "negative offsets",
        "a.safetensors",
        safetensors({"a": _entry(-8, 0)}, b""),
        read_safetensors,
        "impossible",
    ),
    "safetensors-boolean-shape": Attack(
        "True is an int to Python",
        "a.safetensors",
        safetensors({"a": _entry(shape=(True, 2))}, b"\0" * 8),
        read_safetensors,
        "impossible",
    ),
    "safetensors-duplicate": Attack(
        "one name, two tensors: parsers disagree which counts",
        "a.safetensors",
        safetensors(
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}',
            b"\0" * 8,
        ),
        read_safetensors,
        "stands twice",
    ),
    "safetensors-unknown-type": Attack(
        "an unknown type",
        "a.safetensors",
        safetensors({"a": _entry(dtype="F8_E9")}, b"\0" * 8),
        read_safetensors,
        "F8_E9",
    ),
    "safetensors-extra-key": Attack(
        "a key the format does not have",
        "a.safetensors",
        safetensors({"a": _entry() | {"code": "x"}}, b"\0" * 8),
        read_safetensors,
        "not described",
    ),
    "safetensors-deep-header": Attack(
        "a header nested 100 000 deep",
        "a.safetensors",
        safetensors(b"[" * 100_000),
        read_safetensors,
        "levels deep",
    ),
    "safetensors-empty-but-huge": Attack(
        "no items along one axis, 2^59 along others",
        "a.safetensors",
        safetensors({"w": _entry(0, 0, shape=(0, 1 << 59, 1 << 59))}),
        read_safetensors,
        "absurd size",
    ),
    "safetensors-sparse-giant": Attack(
        "7 GiB that nothing describes, which take no disk space: refused before they are read",
        "a.safetensors",
        sparse(7 << 30, struct.pack("<Q", 2) + b"{}"),
        read_safetensors,
        "the tensors take 0 bytes",
    ),
    "safetensors-not-text": Attack(
        "a header that is not UTF-8", "a.safetensors", safetensors(b"\xff\xfe\xfd"), read_safetensors, "UTF-8"
    ),
}
