"""ONNX models: parsed, never executed; external data must lie beside the model, whole and unlinked."""

from __future__ import annotations

import math
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.limits import MAX_ARRAY_RANK, MAX_MODEL_BYTES, MAX_MODEL_FIELDS
from vacc_deploy.safe_io.onnx_size import exceeds
from vacc_deploy.safe_io.source import (
    CONTROL_CHARACTERS,
    PathLike,
    describe_impostor,
    file_error,
    open_source,
    os_error,
    read_bytes,
)

if TYPE_CHECKING:
    import onnx

_HINT = "the file is damaged or not an ONNX model: export it again"
_HOSTILE = "do not use this model: its external data reach outside its own folder"
_EXTERNAL_KEYS = frozenset({"location", "offset", "length", "checksum", "basepath"})
# TensorProto.DataType → bits per item and the field that holds items where raw_data is empty.
_ITEM_BITS = {
    1: (32, "float_data"), 2: (8, "int32_data"), 3: (8, "int32_data"), 4: (16, "int32_data"),
    5: (16, "int32_data"), 6: (32, "int32_data"), 7: (64, "int64_data"), 9: (8, "int32_data"),
    10: (16, "int32_data"),
    11: (64, "double_data"), 12: (32, "uint64_data"), 13: (64, "uint64_data"), 14: (64, "float_data"),
    15: (128, "double_data"), 16: (16, "int32_data"), 17: (8, "int32_data"), 18: (8, "int32_data"),
    19: (8, "int32_data"), 20: (8, "int32_data"), 21: (4, "int32_data"), 22: (4, "int32_data"),
    23: (4, "int32_data"),
}  # fmt: skip
_STRING = 8
_EXTERNAL = 1


def read_onnx(path: PathLike) -> onnx.ModelProto:
    """An ONNX model with all its weights inside; external data are read from beside it.

    Raises:
        FileError: Unreadable, not an ONNX model, or a tensor whose data are missing, of the wrong size, or
            outside the model's folder (absolute, ``..``, through symbolic or hard links).
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    _check_before_parsing(path)
    data = read_bytes(path, MAX_MODEL_BYTES)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise file_error(
            path, "not an ONNX model", _HINT, str(error).splitlines()[0] if str(error) else None
        ) from None
    if model.ir_version < 1 or not model.opset_import or not model.graph.output:
        raise file_error(path, "not an ONNX model: it has no version, operator set or output", _HINT)
    _check_names(path, model)
    tensors = list(_tensors(model))
    external = [tensor for tensor in tensors if tensor.data_location == _EXTERNAL]
    if sum(map(_promised_bytes, external)) + len(data) > MAX_MODEL_BYTES:
        raise file_error(path, f"its external data are larger than {MAX_MODEL_BYTES} bytes", _HINT)
    for tensor in external:
        _load_external(Path(path), tensor)
    for tensor in tensors:
        _check_size(path, tensor)
    return model


def _check_before_parsing(path: PathLike) -> None:
    """Looks at the file where it lies: parsing would first copy all of it, and then make all its objects."""
    with open_source(path, MAX_MODEL_BYTES) as (file, size):
        what = describe_impostor(file.read(64))
        if what:
            raise file_error(path, f"not an ONNX model but {what[0]}", what[1])
        if not size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                too_many = exceeds(data, MAX_MODEL_FIELDS)
            except ValueError as error:
                raise file_error(path, "not an ONNX model", _HINT, str(error)) from None
    if too_many:
        raise file_error(
            path, f"a model of more than {MAX_MODEL_FIELDS} fields", "no network has so many: " + _HINT
        )


def _check_names(path: PathLike, model: onnx.ModelProto) -> None:
    """Names that are not UTF-8 arrive as bytes and would confuse everything after."""
    graph = model.graph
    names = [value.name for values in (graph.input, graph.output, graph.initializer) for value in values]
    for node in graph.node:
        names += [node.op_type, node.domain, node.name, *node.input, *node.output]
    if not all(isinstance(name, str) for name in names):
        raise file_error(path, "the model has names that are not UTF-8 text", _HINT)
    if any(map(CONTROL_CHARACTERS.search, names)):
        raise file_error(
            path, "the model has names with control characters", "rename them, or export it again"
        )


def _tensors(model: onnx.ModelProto) -> Iterator[Any]:
    """Every tensor of a model: initialisers, attributes, sparse ones, those of sub-graphs and functions."""
    messages: list[Any] = [model.graph, *model.functions]
    messages += [graph for info in model.training_info for graph in (info.initialization, info.algorithm)]
    while messages:
        message = messages.pop()
        yield from getattr(message, "initializer", ())
        for sparse in getattr(message, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        attributes = [attribute for node in message.node for attribute in node.attribute]
        attributes += getattr(message, "attribute_proto", ())
        for attribute in attributes:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse_tensors = [*attribute.sparse_tensors]
            if attribute.HasField("sparse_tensor"):
                sparse_tensors.append(attribute.sparse_tensor)
            for sparse in sparse_tensors:
                yield from (sparse.values, sparse.indices)
            if attribute.HasField("g"):
                messages.append(attribute.g)
            messages.extend(attribute.graphs)


def _check_size(path: PathLike, tensor: Any) -> None:
    """A tensor must hold the data its shape promises, or a reader would allocate what is not there."""
    dims = list(tensor.dims)
    if len(dims) > MAX_ARRAY_RANK or any(dim < 0 for dim in dims):
        raise _tensor_error(path, tensor, f"has the impossible shape {dims[:MAX_ARRAY_RANK]}", _HINT)
    count = math.prod(dims)
    if tensor.data_type == _STRING:
        if count != len(tensor.string_data):
            raise _tensor_error(
                path, tensor, f"promises {count} texts and holds {len(tensor.string_data)}", _HINT
            )
        return
    if tensor.data_type not in _ITEM_BITS:
        if tensor.data_type or count > 1 or tensor.raw_data:
            raise _tensor_error(path, tensor, f"has the unknown type {tensor.data_type}", _HINT)
        return
    bits, field = _ITEM_BITS[tensor.data_type]
    if tensor.raw_data:
        promised, present, unit = (count * bits + 7) // 8, len(tensor.raw_data), "bytes"
    else:
        per_item = 2 if tensor.data_type in (14, 15) else 1
        items = (count + 1) // 2 if bits == 4 else count * per_item
        promised, present, unit = items, len(getattr(tensor, field)), "items"
    if promised != present:
        raise _tensor_error(path, tensor, f"promises {promised} {unit} and holds {present}", _HINT)


def _promised_bytes(tensor: Any) -> int:
    """Bytes that a tensor's shape and type ask for."""
    bits, _ = _ITEM_BITS.get(tensor.data_type, (0, ""))
    count: int = math.prod(max(dim, 0) for dim in tensor.dims)
    return (count * bits + 7) // 8


def _load_external(model_path: Path, tensor: Any) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    # protobuf hands out text that is not UTF-8 as bytes
    is_text = all(isinstance(word, str) for entry in entries.items() for word in entry)
    if (
        not is_text
        or not _EXTERNAL_KEYS.issuperset(entries)
        or len(entries) != len(tensor.external_data)
        or not entries.get("location")
    ):
        raise _tensor_error(model_path, tensor, "describes its external data in an unknown way", _HOSTILE)
    place = _confined(model_path, tensor, entries["location"])
    if tensor.data_type not in _ITEM_BITS:
        raise _tensor_error(model_path, tensor, "cannot lie in an external file", _HINT)
    needed = _promised_bytes(tensor)
    offset = _whole_number(model_path, tensor, entries.get("offset", "0"))
    length = _whole_number(model_path, tensor, entries["length"]) if "length" in entries else needed
    if length != needed:
        raise _tensor_error(
            model_path, tensor, f"needs {needed} bytes and its external data have {length}", _HINT
        )
    with open_source(place, 1 << 40) as (file, size):
        if offset + length > size:
            raise _tensor_error(
                model_path,
                tensor,
                f"ends at byte {offset + length} of '{place.name}', which has {size}",
                _HINT,
            )
        try:
            file.seek(offset)
            raw = file.read(length)
        except OSError as error:
            raise os_error(place, error) from error
    tensor.raw_data = raw
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")


def _whole_number(path: PathLike, tensor: Any, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise _tensor_error(path, tensor, f"has the impossible offset or length '{text[:40]}'", _HINT)
    return int(text)


def _confined(model_path: Path, tensor: Any, location: str) -> Path:
    """The external file, which must lie in the model's folder and be reached without any link."""
    parts = location.replace("\\", "/").split("/")
    if os.path.isabs(location) or ":" in parts[0] or ".." in parts or not location.isprintable():
        raise _tensor_error(model_path, tensor, f"wants its data from {location[:80]!r}", _HOSTILE)
    folder = model_path.parent
    place = folder
    for part in parts:
        place = place / part
        try:
            status = place.lstat()
        except OSError:
            raise _tensor_error(
                model_path,
                tensor,
                f"needs the external file '{location[:80]}', which is missing",
                "copy it beside the model",
            ) from None
        if stat.S_ISLNK(status.st_mode):
            raise _tensor_error(
                model_path, tensor, f"reaches its data through a link, '{location[:80]}'", _HOSTILE
            )
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise _tensor_error(
            model_path,
            tensor,
            f"wants its data from '{location[:80]}', which is not a plain, unshared file",
            _HOSTILE,
        )
    return place


def _tensor_error(path: PathLike, tensor: Any, what: str, hint: str) -> FileError:
    return file_error(path, f"the tensor '{tensor.name[:80]}' {what}", hint)
