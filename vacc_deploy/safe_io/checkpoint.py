"""Weights from any checkpoint people share, without running a line of what is in it.

Formats: safetensors; torch's zip (since 1.6), of state dicts, whole modules and TorchScript; torch's older
    pickle stream.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.archive import Archive, open_archive
from vacc_deploy.safe_io.limits import MAX_ARRAY_BYTES, MAX_CHECKPOINT_BYTES, MAX_PICKLE_BYTES, MIB
from vacc_deploy.safe_io.pickle_machine import Call, PersistentId, PickleReader
from vacc_deploy.safe_io.safetensors_file import read_safetensors
from vacc_deploy.safe_io.source import PathLike, describe_impostor, file_error, open_source
from vacc_deploy.safe_io.state_dict import TooLargeError, describe_entries, find_state_dict, strip_module
from vacc_deploy.safe_io.torch_tensors import STORAGE_TYPES, TensorReader, as_storage
from vacc_deploy.safe_io.torchscript_code import forbidden_in_code, forbidden_in_pickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_WALK = 2_000_000
_HINT = "download or write the checkpoint again"
_USE_STATE_DICT = "save the weights with torch.save(model.state_dict(), …) or as safetensors"


def read_checkpoint(path: PathLike) -> dict[str, NDArray[Any]]:
    """The weights of a checkpoint by their state-dict keys; nothing in the file is executed.

    Nested weights are found (``params_ema``, ``g_ema``, ``params``, ``state_dict``, ``model`` …, averaged
    ones first), and a ``module.`` before every key is dropped.  bfloat16 becomes float32; other types stay.

    Raises:
        FileError: Not a checkpoint, damaged, hostile, or without weights.
    """
    with open_source(path, MAX_CHECKPOINT_BYTES) as (file, _):
        head = file.read(512)
    if not head:
        raise file_error(path, "the file is empty", _HINT)
    if head.startswith(b"PK"):
        return _read_zip(path)
    if head[0] == 0x80:
        return _read_legacy(path)
    if head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < MAX_CHECKPOINT_BYTES:
        return strip_module(read_safetensors(path))
    if head[257:262] == b"ustar":
        raise file_error(path, "a checkpoint of PyTorch before 0.1.10 (a tar file)", _USE_STATE_DICT)
    what, hint = describe_impostor(head) or ("something else", "give a .safetensors, .pth or .pt file")
    if b"onnx" in head[:64].lower() or b"pytorch" in head[:64]:
        what, hint = "probably an ONNX model", "give it as the frontend's checkpoint instead"
    raise file_error(path, f"not a checkpoint but {what}", hint)


def is_torchscript(path: PathLike) -> bool:
    """Whether a file is TorchScript, told by its contents, whatever it is called.

    Raises:
        FileError: The file cannot be read, or is an archive built to do harm.
    """
    with open_source(path, MAX_CHECKPOINT_BYTES) as (file, _):
        if file.read(2) != b"PK":
            return False
    with open_archive(path, MAX_CHECKPOINT_BYTES) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.names)


def check_torchscript(path: PathLike) -> None:
    """Make sure that a file is a TorchScript archive of sensible sizes, whose program touches no file.

    Raises:
        FileError: Not TorchScript, damaged, or built to do harm.
    """
    with open_archive(path, MAX_CHECKPOINT_BYTES) as archive:
        prefix = _prefix(path, archive)
        if f"{prefix}constants.pkl" in archive.names:
            _check_program(path, archive)
            return
        if f"{prefix}.data/extern_modules" in archive.names:
            raise file_error(
                path, "a torch.package, which is a program", "export the model as TorchScript or ONNX"
            )
    raise file_error(
        path, "not TorchScript but a checkpoint of weights", "export the model first: vdeploy export"
    )


def _check_program(path: PathLike, archive: Archive) -> None:
    for name in archive.names:
        what = None
        if name.endswith(".py"):
            what = forbidden_in_code(archive.read(name, MAX_PICKLE_BYTES))
        elif name.endswith(".pkl"):
            what = forbidden_in_pickle(archive.read(name, MAX_PICKLE_BYTES))
        if what is not None:
            hint = "do not use this file, or export the network as ONNX where it comes from"
            raise file_error(path, f"the program in '{name}' holds {what}", hint)


def _read_zip(path: PathLike) -> dict[str, NDArray[Any]]:
    with open_archive(path, MAX_CHECKPOINT_BYTES) as archive:
        prefix = _prefix(path, archive)
        root = PickleReader(archive.read(f"{prefix}data.pkl", MAX_PICKLE_BYTES), path).load()
        order = (
            bytes(archive.read(f"{prefix}byteorder", 64))
            if f"{prefix}byteorder" in archive.names
            else b"little"
        )

        def read_storage(key: str, size: int) -> bytearray:
            data = archive.read(f"{prefix}data/{key}", MAX_ARRAY_BYTES)
            if len(data) < size:
                raise file_error(
                    path, f"the storage '{key}' promises {size} bytes and holds {len(data)}", _HINT
                )
            return data

        return _weights(path, root, TensorReader(path, read_storage, order.strip() == b"big"))


def _prefix(path: PathLike, archive: Archive) -> str:
    roots = [name for name in archive.names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(roots) != 1:
        hint = (
            "give the .npz as data, not as weights"
            if any(n.endswith(".npy") for n in archive.names)
            else _HINT
        )
        raise file_error(path, "a zip archive, but not one that torch wrote", hint)
    return roots[0].removesuffix("data.pkl")


def _read_legacy(path: PathLike) -> dict[str, NDArray[Any]]:
    with (
        open_source(path, MAX_CHECKPOINT_BYTES) as (file, size),
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        reader = PickleReader(data, path)
        magic = reader.load()
        if magic != _LEGACY_MAGIC or reader.load() != _LEGACY_PROTOCOL:
            raise file_error(path, "a pickle, but not one that torch wrote", _USE_STATE_DICT)
        reader.load()  # a record of the writing machine
        root = reader.load()
        places = _legacy_storages(path, reader, root, size)

        def read_storage(key: str, size: int) -> bytearray:
            if key not in places:
                raise file_error(path, f"the storage '{key}' is missing", _HINT)
            begin, end = places[key]
            if end - begin < size:
                raise file_error(
                    path, f"the storage '{key}' promises {size} bytes and holds {end - begin}", _HINT
                )
            return bytearray(data[begin:end])

        return _weights(path, root, TensorReader(path, read_storage))


def _legacy_storages(
    path: PathLike, reader: PickleReader, root: Any, size: int
) -> dict[str, tuple[int, int]]:
    """Storage key → its first and last byte: after the pickles come, for each key, a count and the items."""
    keys = reader.load()
    if not isinstance(keys, list) or not all(isinstance(key, (str, int)) for key in keys):
        raise file_error(path, "the list of storages is damaged", _HINT)
    items = _item_sizes(root)
    places: dict[str, tuple[int, int]] = {}
    position = reader.position
    for key in map(str, keys):
        if position + 8 > size or key not in items:
            raise file_error(path, f"the storage '{key[:40]}' is missing or unknown", _HINT)
        (count,) = struct.unpack("<q", reader.data[position : position + 8])
        begin, position = position + 8, position + 8 + count * items[key]
        if count < 0 or position > size:
            raise file_error(
                path, f"the storage '{key}' ends at byte {position} of a file of {size / MIB:.1f} MiB", _HINT
            )
        places[key] = (begin, position)
    return places


def _item_sizes(root: Any) -> dict[str, int]:
    """Storage key → bytes per item, for every storage mentioned anywhere below `root`."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    pending: list[Any] = [root]
    while pending and len(seen) < _MAX_WALK:
        value = pending.pop()
        if id(value) in seen or not isinstance(value, (dict, list, tuple, Call, PersistentId)):
            continue
        seen.add(id(value))
        if isinstance(value, PersistentId):
            storage = as_storage(value)
            if storage is not None:
                sizes[storage.key] = np.dtype(STORAGE_TYPES[storage.kind]).itemsize
            elif isinstance(value.value, tuple):
                pending.extend(value.value)
        elif isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, Call):
            pending += [value.arguments, value.state, value.items, value.elements]
        else:
            pending.extend(value)
    return sizes


def _weights(path: PathLike, root: Any, tensors: TensorReader) -> dict[str, NDArray[Any]]:
    try:
        found: Mapping[str, Any] = find_state_dict(root)
    except TooLargeError as error:
        raise file_error(path, "not a checkpoint of a network", _USE_STATE_DICT, str(error)) from None
    if not found:
        raise _no_weights(path, root)
    return {name: tensors.array(name, tensor) for name, tensor in found.items()}


def _no_weights(path: PathLike, root: Any) -> FileError:
    return file_error(path, "no weights in this checkpoint", _USE_STATE_DICT, describe_entries(root))
