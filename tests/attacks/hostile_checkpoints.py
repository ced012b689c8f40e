"""Checkpoints that would run code, exhaust memory, or hold no weights; their pickles are written by hand."""

from __future__ import annotations

import pickle
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attack import Attack, data
from hostile_arrays import npz

from vacc_deploy.safe_io import check_torchscript, read_checkpoint

PWNED = "pwned"  # the file that every code-running attack would create
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
_PREAMBLE = _MAGIC + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
_RUN = f"cos\nsystem\n(X{{}}touch {PWNED}tR.".encode().replace(
    b"{}", struct.pack("<I", len("touch " + PWNED))
)


def torch_zip(
    pickled: bytes, storages: dict[str, bytes] | None = None, **extra: bytes
) -> Callable[[Path], Any]:
    """A builder for torch's zip format."""
    members = [("archive/data.pkl", pickled)]
    members += [(f"archive/data/{key}", content) for key, content in (storages or {}).items()]
    members += [(f"archive/{name.replace('__', '.')}", content) for name, content in extra.items()]
    return npz(members)


def legacy(pickled: bytes, tail: bytes = b"") -> Callable[[Path], Any]:
    """A builder for torch's older stream."""
    return data(_PREAMBLE + pickled + tail)


def tensor(size: str, stride: str, offset: int = 0, count: int = 4, kind: str = "FloatStorage") -> bytes:
    """Opcodes that rebuild one tensor ``w`` in a dict; `size` and `stride` are texts such as ``2 2``."""

    def numbers(text: str) -> bytes:
        return b"(" + b"".join(b"I" + number.encode() + b"\n" for number in text.split()) + b"t"

    storage = (
        b"(X\x07\0\0\0storage"
        + f"ctorch\n{kind}\n".encode()
        + b"X\x01\0\0\x000X\x03\0\0\0cpu"
        + f"I{count}\ntQ".encode()
    )
    rebuild = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + f"I{offset}\n".encode()
        + numbers(size)
        + numbers(stride)
    )
    return b"\x80\x02}X\x01\0\0\0w" + rebuild + b"\x89}tRs."


# A tuple of two of a tuple of two …: 2^60 items for whoever walks or prints it.
_DAG = b"N\x85" + b"2\x86" * 60


def _many(count: int, opcodes: bytes) -> bytes:
    """MARK, then `count` times a name and these opcodes, which push its value."""
    return b"(" + b"".join(b"U" + bytes([len(str(k))]) + str(k).encode() + opcodes for k in range(count))


def _module_fan() -> bytes:
    """14 levels of modules, each of which holds the one below 700 times: 700^14 parameters."""
    pickled = b"\x80\x02"
    for level in range(15):
        children = _many(700, b"j" + struct.pack("<I", level - 1)) + b"u" if level else b""
        pickled += b"cx\nM\n)R}X\x08\0\0\0_modules}" + children
        pickled += b"sbr" + struct.pack("<I", level) + b"0"
    return pickled + b"j" + struct.pack("<I", 14) + b"."


def _shared_views(path: Path) -> None:
    """A thousand tensors that all show the same 16 MB, which are zeros and take 80 kB in the file."""
    count = 4 << 20
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"
    storage += b"J" + struct.pack("<i", count) + b"tQq\x010"
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(h\x01K\0J" + struct.pack("<i", count) + b"\x85K\x01\x85tR"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + storage + b"}" + _many(1000, view) + b"u.")
        archive.writestr("archive/data/0", bytes(4 * count))
        archive.writestr("archive/noise", random.Random(0).randbytes(80_000))  # keeps the archive's ratio low


def _torchscript(code: str) -> Callable[[Path], Any]:
    """A builder for a TorchScript archive with this program."""
    return torch_zip(b"N.", **{"constants__pkl": b"N.", "code/__torch____py": code.encode()})


def _tar(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))


def _two_roots(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"N.")
        archive.writestr("b/data.pkl", b"N.")


def _torch_package(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("p/data.pkl", b"N.")
        archive.writestr("p/.data/extern_modules", b"os")


_DATA = {"0": b"\0" * 16}

CHECKPOINT_ATTACKS = {
    "pickle-os-system": Attack(
        "the classic: unpickling runs a shell command",
        "a.pth",
        torch_zip(b"\x80\x02" + _RUN),
        read_checkpoint,
        "no weights",
    ),
    "pickle-os-system-legacy": Attack(
        "the same in torch's old format",
        "a.pth",
        legacy(b"\x80\x02" + _RUN, b"\x80\x02]."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-bare": Attack(
        "a pickle that torch did not write",
        "a.pth",
        data(b"\x80\x02" + _RUN),
        read_checkpoint,
        "not one that torch wrote",
    ),
    "pickle-stack-global": Attack(
        "builtins.exec by the protocol 4 opcode",
        "a.pth",
        torch_zip(b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x11open('pwned','w')\x85R."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-inst": Attack(
        "the INST opcode calls too",
        "a.pth",
        torch_zip(b"(X\x0b\0\0\0touch pwnedios\nsystem\n."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-obj": Attack(
        "and OBJ",
        "a.pth",
        torch_zip(b"(cos\nsystem\nX\x0b\0\0\0touch pwnedo."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-build": Attack(
        "BUILD would call __setstate__",
        "a.pth",
        torch_zip(b"\x80\x02ctorch\nTensor\n)\x81}X\x01\0\0\0aK\x01sb."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-extension": Attack(
        "EXT1 reaches the registry of callables",
        "a.pth",
        torch_zip(b"\x80\x02\x82\x01."),
        read_checkpoint,
        "instruction 0x82",
    ),
    "pickle-next-buffer": Attack(
        "out-of-band buffers", "a.pth", torch_zip(b"\x80\x05\x97."), read_checkpoint, "instruction 0x97"
    ),
    "pickle-unknown-protocol": Attack(
        "a protocol of the future", "a.pth", torch_zip(b"\x80\x63N."), read_checkpoint, "protocol"
    ),
    "pickle-deep-tuple-key": Attack(
        "a tuple nested 200 000 deep as dict key: hashing it overflows the C stack",
        "a.pth",
        torch_zip(b"\x80\x02}N" + b"\x85" * 200_000 + b"Ns."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-endless-memo": Attack(
        "three million instructions",
        "a.pth",
        torch_zip(b"N0" * 1_500_000 + b"N."),
        read_checkpoint,
        "too long",
    ),
    "pickle-huge-string": Attack(
        "a string of 2^62 bytes",
        "a.pth",
        torch_zip(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62)),
        read_checkpoint,
        "too early",
    ),
    "pickle-negative-string": Attack(
        "a string of −1 bytes", "a.pth", torch_zip(b"T\xff\xff\xff\xff."), read_checkpoint, "too early"
    ),
    "pickle-huge-integer": Attack(
        "an integer of a million digits",
        "a.pth",
        torch_zip(b"\x8b\x40\x42\x0f\0" + b"\x01" * 1_000_000 + b"."),
        read_checkpoint,
        "long number",
    ),
    "pickle-digits": Attack(
        "the same in decimal", "a.pth", torch_zip(b"I" + b"9" * 3000 + b"\n."), read_checkpoint, "long number"
    ),
    "pickle-stack-underflow": Attack(
        "pops an empty stack", "a.pth", torch_zip(b"\x80\x02R."), read_checkpoint, "damaged"
    ),
    "pickle-missing-mark": Attack(
        "a tuple without a mark", "a.pth", torch_zip(b"\x80\x02Nt."), read_checkpoint, "mark"
    ),
    "pickle-missing-memo": Attack(
        "a reference to nothing", "a.pth", torch_zip(b"\x80\x02h\x07."), read_checkpoint, "damaged"
    ),
    "pickle-odd-items": Attack(
        "a key without a value", "a.pth", torch_zip(b"\x80\x02}(Nu."), read_checkpoint, "damaged"
    ),
    "pickle-no-end": Attack("no STOP", "a.pth", torch_zip(b"\x80\x02N"), read_checkpoint, "too early"),
    "pickle-endless-key": Attack(
        "a key whose text would have 2^60 items: describing the checkpoint never ends",
        "a.pth",
        torch_zip(b"\x80\x02}cx\ny\n" + _DAG + b"\x85RNs."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-endless-function": Attack(
        "the same in the place of a class",
        "a.pth",
        torch_zip(b"\x80\x02" + _DAG + b")R}b."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-shared-dict": Attack(
        "60 000 references to one dict of 60 000 entries",
        "a.pth",
        torch_zip(b"\x80\x02}" + _many(60_000, b"N") + b"uq\x000](" + b"h\0" * 60_000 + b"e."),
        read_checkpoint,
        "no weights",
    ),
    "pickle-shared-shape": Attack(
        "10 000 tensors that share a shape of 60 000 sides",
        "a.pth",
        torch_zip(
            b"\x80\x02("
            + b"K\x01" * 60_000
            + b"tq\x000}"
            + _many(10_000, b"ctorch._utils\n_rebuild_tensor_v2\n(NK\0h\0h\0tR")
            + b"u."
        ),
        read_checkpoint,
        "no weights",
    ),
    "pickle-module-fan": Attack(
        "a tree of modules with 700^14 leaves in 60 kB",
        "a.pth",
        torch_zip(_module_fan()),
        read_checkpoint,
        "not a checkpoint of a network",
    ),
    "tensor-shared-views": Attack(
        "16 GB of views in a file of 100 kB", "a.pth", _shared_views, read_checkpoint, "too many views"
    ),
    "pickle-cycle": Attack(
        "a dict that holds itself under 'model'",
        "a.pth",
        torch_zip(b"\x80\x02}q\0X\x05\0\0\0modelh\0s."),
        read_checkpoint,
        "no weights",
    ),
    "tensor-beyond-storage": Attack(
        "reads behind its storage",
        "a.pth",
        torch_zip(tensor("2 2", "2 1", offset=3), _DATA),
        read_checkpoint,
        "reaches item",
    ),
    "tensor-huge-stride": Attack(
        "a stride of 2^40",
        "a.pth",
        torch_zip(tensor("2 2", "1099511627776 1"), _DATA),
        read_checkpoint,
        "reaches item",
    ),
    "tensor-expanded": Attack(
        "stride 0: 16 bytes become 8 TiB",
        "a.pth",
        torch_zip(tensor("1048576 2097152", "0 0"), _DATA),
        read_checkpoint,
        "items and its storage",
    ),
    "tensor-negative-size": Attack(
        "a negative side", "a.pth", torch_zip(tensor("-1 2", "2 1"), _DATA), read_checkpoint, "no weights"
    ),
    "tensor-short-storage": Attack(
        "promises 4 GiB, holds 16 bytes",
        "a.pth",
        torch_zip(tensor("2 2", "2 1", count=1 << 28), _DATA),
        read_checkpoint,
        "promises",
    ),
    "tensor-absurd-storage": Attack(
        "a storage of an exabyte",
        "a.pth",
        torch_zip(tensor("2 2", "2 1", count=1 << 58), _DATA),
        read_checkpoint,
        "lies in a storage",
    ),
    "tensor-missing-storage": Attack(
        "no such storage", "a.pth", torch_zip(tensor("2 2", "2 1")), read_checkpoint, "no member"
    ),
    "tensor-storage-traversal": Attack(
        "a storage key that leads elsewhere",
        "a.pth",
        torch_zip(tensor("2 2", "2 1").replace(b"X\x01\0\0\x000", b"X\x0e\0\0\0../../../etc/x"), _DATA),
        read_checkpoint,
        "no member",
    ),
    "legacy-short-storage": Attack(
        "a legacy storage that ends after the file",
        "a.pth",
        legacy(tensor("2 2", "2 1"), b"\x80\x02]X\x01\0\0\x000a." + struct.pack("<q", 1 << 40)),
        read_checkpoint,
        "ends at byte",
    ),
    "legacy-negative-storage": Attack(
        "a legacy storage of negative size",
        "a.pth",
        legacy(tensor("2 2", "2 1"), b"\x80\x02]X\x01\0\0\x000a." + struct.pack("<q", -4)),
        read_checkpoint,
        "ends at byte",
    ),
    "legacy-truncated": Attack(
        "cut after the preamble", "a.pth", data(_PREAMBLE), read_checkpoint, "too early"
    ),
    "checkpoint-tar": Attack("torch's oldest format", "a.pth", _tar, read_checkpoint, "tar"),
    "checkpoint-two-roots": Attack(
        "which of the two counts?", "a.pth", _two_roots, read_checkpoint, "not one that torch wrote"
    ),
    "checkpoint-empty-dict": Attack(
        "no tensors", "a.pth", torch_zip(b"\x80\x02}."), read_checkpoint, "no weights"
    ),
    "checkpoint-empty-file": Attack("no bytes", "a.pth", data(b""), read_checkpoint, "empty"),
    "checkpoint-lfs-pointer": Attack(
        "a Git LFS pointer",
        "a.pth",
        data(b"version https://git-lfs.github.com/spec/v1\n"),
        read_checkpoint,
        "Git LFS",
    ),
    "checkpoint-web-page": Attack(
        "the download page", "a.pth", data(b"<html><body>404</body></html>"), read_checkpoint, "web page"
    ),
    "checkpoint-keras": Attack("a Keras file", "a.h5", data(b"\x89HDF\r\n\x1a\n"), read_checkpoint, "HDF5"),
    "checkpoint-npz": Attack(
        "arrays, not weights", "a.pth", npz([("x.npy", b"")]), read_checkpoint, "not one that torch wrote"
    ),
    "torchscript-is-weights": Attack(
        "a state dict where a model is needed",
        "a.pt",
        torch_zip(tensor("2 2", "2 1"), _DATA),
        check_torchscript,
        "not TorchScript",
    ),
    "torchscript-from-file": Attack(
        "an operator that maps any file for writing: it could change ~/.bashrc",
        "a.pt",
        _torchscript('def f(x):\n  t = torch.from_file("pwned", True, 16)\n'),
        check_torchscript,
        "from_file",
    ),
    "torchscript-save": Attack(
        "an operator that writes a file",
        "a.pt",
        _torchscript('def f(x):\n  ops.aten.save(x, "pwned")\n'),
        check_torchscript,
        "torch.save",
    ),
    "torchscript-hidden-name": Attack(
        "the same in pieces",
        "a.pt",
        _torchscript('def f(x):\n  t = getattr((torch), "from_" "fi" "le")("pwned", True, 16)\n'),
        check_torchscript,
        "hidden name",
    ),
    "torchscript-comment": Attack(
        "a comment between the parts of a name",
        "a.pt",
        _torchscript('def f(x):\n  torch. # x\n  save(x, "pwned")\n'),
        check_torchscript,
        "comment",
    ),
    "torchscript-other-operators": Attack(
        "operators of a library that happens to be loaded",
        "a.pt",
        _torchscript("def f(x):\n  return ops.debugprims.load_tensor(x)\n"),
        check_torchscript,
        "another library",
    ),
    "torchscript-class": Attack(
        "an object of a C++ class that happens to be loaded",
        "a.pt",
        torch_zip(b"c__torch__.torch.classes.dist\nStore\n)R.", constants__pkl=b"N."),
        check_torchscript,
        "another library",
    ),
    "torchscript-package": Attack(
        "a torch.package has no safe mode", "a.pt", _torch_package, check_torchscript, "torch.package"
    ),
}
