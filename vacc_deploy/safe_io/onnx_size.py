"""How many objects an ONNX file would become, counted in its bytes before any of them is made.

An empty message takes two bytes in the file and a hundred in memory: a small file may ask for the machine.
Field numbers: ``onnx.proto`` of the ONNX project; the wire format: protobuf's *Encoding* page.
"""

from __future__ import annotations

from typing import Any

_GRAPH, _NODE, _ATTRIBUTE, _TENSOR, _SPARSE, _VALUE, _TYPE, _SHAPE, _ENTRY, _FUNCTION, _TRAINING = range(11)
_MODEL = 11
# Message → field → what the field holds; a field that is not listed is text, bytes, or a packed list.
_FIELDS: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 8: _ENTRY, 14: _ENTRY, 20: _TRAINING, 25: _FUNCTION},
    _GRAPH: {1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE, 14: _ENTRY, 15: _SPARSE, 16: _ENTRY},
    _NODE: {5: _ATTRIBUTE, 9: _ENTRY},
    _ATTRIBUTE: {
        5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 14: _TYPE, 15: _TYPE, 22: _SPARSE, 23: _SPARSE,
    },
    _TENSOR: {13: _ENTRY, 16: _ENTRY},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _VALUE: {2: _TYPE, 4: _ENTRY},
    _TYPE: {1: _SHAPE, 4: _TYPE, 5: _TYPE, 8: _SHAPE, 9: _TYPE},
    _SHAPE: {1: _ENTRY, 2: _SHAPE},
    _ENTRY: {},
    _FUNCTION: {7: _NODE, 9: _ENTRY, 11: _ATTRIBUTE, 12: _VALUE, 14: _ENTRY},
    _TRAINING: {1: _GRAPH, 2: _GRAPH, 3: _ENTRY, 4: _ENTRY},
}  # fmt: skip


def exceeds(data: Any, limit: int) -> bool:
    """Whether the ONNX model in `data` has more than `limit` fields.

    Args:
        data: The file's bytes, or a memory map of them.
        limit: How many fields, of all messages together, are allowed.

    Raises:
        ValueError: The bytes are not protobuf.
    """
    pending = [(_MODEL, 0, len(data))]
    fields = 0
    while pending:
        message, position, end = pending.pop()
        inside = _FIELDS[message]
        while position < end:
            fields += 1
            if fields > limit:
                return True
            key = data[position]
            position += 1
            if key > 127:
                key, position = _varint(data, position - 1, end)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise ValueError("a field without a number")
            if wire == 2:
                size = data[position] if position < end else 0
                position += 1
                if size > 127:
                    size, position = _varint(data, position - 1, end)
                if position + size > end:
                    raise ValueError("a field that reaches beyond its message")
                if number in inside:
                    pending.append((inside[number], position, position + size))
                position += size
            elif wire == 0:
                while position < end and data[position] > 127:
                    position += 1
                position += 1
            elif wire in (1, 5):
                position += 8 if wire == 1 else 4
            else:
                raise ValueError(f"a field of the unknown kind {wire}")
        if position > end:
            raise ValueError("a field that reaches beyond its message")
    return False


def _varint(data: Any, position: int, end: int) -> tuple[int, int]:
    """The number that starts at `position`, 7 bits a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a number without an end")
