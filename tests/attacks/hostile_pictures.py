"""Pictures that are bombs, fragments, or no pictures; and paths that are no files."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from attack import Attack, data, text
from hostile_arrays import sparse
from PIL import Image

from vacc_deploy.safe_io import read_bytes, read_image, read_json, read_npz, read_yaml


def png(width: int, height: int, body: bytes = b"") -> bytes:
    """A PNG whose header says this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def encoded(kind: str, side: int = 32) -> bytes:
    """An honest picture."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def _jpeg_of_many_scans(count: int, side: int = 2000) -> bytes:
    """A grey progressive JPEG; each scan is a few bytes and is decoded over all of the picture."""

    def segment(kind: bytes, content: bytes) -> bytes:
        return b"\xff" + kind + struct.pack(">H", len(content) + 2) + content

    blocks = (side // 8) ** 2
    one_code = bytes([1] + [0] * 15)
    head = segment(b"\xdb", b"\0" + b"\1" * 64) + segment(
        b"\xc2", struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"
    )
    head += segment(b"\xc4", b"\x00" + one_code + b"\x00") + segment(b"\xc4", b"\x10" + one_code + b"\xe0")
    first = segment(b"\xda", b"\1\1\0\0\0\0") + b"\0" * (blocks // 8 + 1)
    runs = "".join(["0" + "1" * 13 + "0"] * -(-blocks // (1 << 14)))  # each ends the blocks of 2^14 and more
    runs += "1" * (-len(runs) % 8)
    body = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + head + first + (segment(b"\xda", b"\1\1\0\1\x3f\0") + body) * count + b"\xff\xd9"


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _nothing(path: Path) -> Any:
    return None


PICTURE_ATTACKS = {
    "png-bomb": Attack("2^31 pixels in 70 bytes", "a.png", data(png(65536, 32768)), read_image, "too large"),
    "png-huge-sides": Attack(
        "2^62 pixels", "a.png", data(png(2**31 - 1, 2**31 - 1)), read_image, "too large"
    ),
    "png-zero": Attack("no pixels", "a.png", data(png(0, 5)), read_image, "picture"),
    "png-no-pixels": Attack("a header without the pixels", "a.png", data(png(64, 64)), read_image, "picture"),
    "png-cut": Attack(
        "half a PNG: OpenCV fills the rest with black",
        "a.png",
        data(encoded("PNG")[:1500]),
        read_image,
        "cut short",
    ),
    "jpeg-cut": Attack(
        "half a JPEG: OpenCV fills the rest with grey",
        "a.jpg",
        data(encoded("JPEG", 128)[:8000]),
        read_image,
        "cut short",
    ),
    "bmp-cut": Attack("half a BMP", "a.bmp", data(encoded("BMP")[:1000]), read_image, "cut short"),
    "bmp-bomb": Attack(
        "a header that says 10^10 pixels", "a.bmp", data(_bmp(100_000, 100_000)), read_image, "too large"
    ),
    "picture-empty": Attack("no bytes", "a.png", data(b""), read_image, "empty"),
    "picture-text": Attack("a text file", "a.jpg", text("hello"), read_image, "not a picture"),
    "picture-web-page": Attack("a web page", "a.jpg", text("<html></html>"), read_image, "web page"),
    "picture-postscript": Attack(
        "EPS would start Ghostscript",
        "a.png",
        text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        read_image,
        "not a picture",
    ),
    "picture-svg": Attack(
        "SVG has scripts and entities",
        "a.png",
        text("<svg xmlns='http://www.w3.org/2000/svg'/>"),
        read_image,
        "not a picture",
    ),
    "tiff-junk": Attack(
        "a TIFF whose directory points into space",
        "a.tif",
        data(b"II*\0" + b"\xff" * 100),
        read_image,
        "picture",
    ),
    "webp-junk": Attack(
        "a WebP without a frame",
        "a.webp",
        data(b"RIFF\x20\0\0\0WEBPVP8 " + b"\xff" * 20),
        read_image,
        "picture",
    ),
    "jpeg-many-scans": Attack(
        "3000 scans of 14 bytes, each decoded over 4 million pixels",
        "a.jpg",
        data(_jpeg_of_many_scans(3000)),
        read_image,
        "scan",
    ),
    "ppm-float": Attack(
        "Pillow's float variant of PPM, which has one channel",
        "a.ppm",
        data(b"Pf\n2 2\n-1.0\n" + b"\0" * 16),
        read_image,
        "not a picture",
    ),
    "ppm-comments": Attack(
        "two megabytes of comments before the size",
        "a.ppm",
        data(b"P6\n" + b"#\n" * 1_000_000 + b"2 2\n255\n"),
        read_image,
        "not a picture",
    ),
    "picture-sparse-giant": Attack(
        "a picture's first bytes and a quarter of a gigabyte of nothing",
        "a.png",
        sparse(250 << 20, png(8, 8)[:60]),
        read_image,
        "too large",
    ),
    "path-missing": Attack("no such file", "a.yaml", _nothing, read_yaml, "no such file"),
    "path-folder": Attack("a folder", "a.yaml", lambda path: path.mkdir(), read_yaml, "folder"),
    "path-pipe": Attack("a pipe: open() would wait for ever", "a.json", _pipe, read_json, "pipe"),
    "path-link-loop": Attack("a link to itself", "a.npz", _loop, read_npz, "symbolic links"),
    "path-device": Attack(
        "a device without an end", "zero", lambda path: path.symlink_to("/dev/zero"), read_bytes, "device"
    ),
    "path-sparse-giant": Attack(
        "10 GiB that take no disk space", "a.npz", sparse(10 << 30), read_npz, "too large"
    ),
    "path-null": Attack(
        "a null in the name", "x", _nothing, lambda path: read_bytes(str(path) + "\0.png"), "null"
    ),
    "path-long": Attack(
        "a name of 5000 letters", "x", _nothing, lambda path: read_bytes(path / ("x" * 5000)), "too long"
    ),
    "path-through-file": Attack(
        "a file used as a folder", "a", text("x"), lambda path: read_bytes(path / "b"), "not a folder"
    ),
}
