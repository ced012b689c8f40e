"""Reading a pickle without running it: a small stack machine that imports nothing and calls nothing.

A pickle is a program whose instructions may call any function.  This reader follows the instructions that
build plain data; what would import or call something becomes an inert `Call` that only remembers what was
asked for.
Opcodes: CPython's ``Lib/pickletools.py`` documents all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.limits import MAX_PICKLE_BYTES, MAX_PICKLE_OPCODES
from vacc_deploy.safe_io.source import PathLike, file_error

_MAX_LINE = 4096
_MAX_INTEGER_BYTES = 64
_MARK = object()
_U8, _U16, _U32, _U64, _S32 = (struct.Struct(layout) for layout in ("<B", "<H", "<I", "<Q", "<i"))


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function that the pickle wanted imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Call:
    """Something the pickle wanted made by calling a class or function, and what it then put into it.

    Attributes:
        function: What it wanted called.
        arguments: The positional arguments.
        state: What BUILD wanted stored in the object, usually its ``__dict__``.
        items: What was put into it as into a dict.
        elements: What was appended to it as to a list.
    """

    function: Any
    arguments: tuple[Any, ...]
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PersistentId:
    """A reference to something stored outside the pickle: a tensor's storage, as a rule."""

    value: Any


class PickleReader:
    """Reads one or several pickles that follow each other in a buffer.

    Args:
        data: The buffer; pickles start at `position`, which moves on with each `load`.
        where: The file's name, for messages.
    """

    def __init__(self, data: Any, where: PathLike, position: int = 0) -> None:
        self.data = data
        self.where = where
        self.position = position
        self._opcodes = 0

    def load(self) -> Any:
        """The next pickle's value, made of plain data, `Global`, `Call` and `PersistentId`.

        Raises:
            FileError: The pickle is damaged, too large, or uses an instruction that data do not need.
        """
        start = self.position
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        try:
            while True:
                if self.position >= len(self.data):
                    raise self._error("ends too early")
                opcode = self.data[self.position]
                self.position += 1
                self._opcodes += 1
                if self._opcodes > MAX_PICKLE_OPCODES or self.position - start > MAX_PICKLE_BYTES:
                    raise self._error("is far too long for a checkpoint")
                if opcode == _STOP:
                    return self._pop()
                action = _ACTIONS.get(opcode)
                if action is None:
                    raise self._error(f"uses the instruction 0x{opcode:02x}, which data do not need")
                action(self)
        except (IndexError, KeyError, ValueError, TypeError, struct.error, OverflowError) as error:
            raise self._error(f"is damaged near byte {self.position}", str(error)) from None

    def _error(self, what: str, why: str | None = None) -> FileError:
        return file_error(
            self.where, f"the checkpoint's pickle {what}", "download or write the checkpoint again", why
        )

    # Reading arguments

    def _take(self, count: int) -> bytes:
        begin, end = self.position, self.position + count
        if not 0 <= count <= MAX_PICKLE_BYTES or end > len(self.data):
            raise self._error("ends too early")
        self.position = end
        return bytes(self.data[begin:end])

    def _number(self, layout: struct.Struct) -> int:
        begin = self.position
        self.position += layout.size
        if self.position > len(self.data):
            raise self._error("ends too early")
        value: int = layout.unpack_from(self.data, begin)[0]
        return value

    def _line(self) -> str:
        chunk = bytes(self.data[self.position : self.position + _MAX_LINE])
        end = chunk.find(b"\n")
        if end < 0:
            raise self._error("has a line without an end")
        self.position += end + 1
        return chunk[:end].decode("utf-8")

    def _integer_line(self) -> int | bool:
        text = self._line().rstrip("L")
        if text in ("00", "01"):
            return text == "01"
        if len(text) > 2 * _MAX_INTEGER_BYTES:
            raise self._error("has an absurdly long number")
        return int(text)

    def _long(self, length: int) -> int:
        if not 0 <= length <= _MAX_INTEGER_BYTES:
            raise self._error("has an absurdly long number")
        return int.from_bytes(self._take(length), "little", signed=True)

    def _skip(self, count: int) -> None:
        self._take(count)

    def _protocol(self) -> None:
        if self._number(_U8) > 5:
            raise self._error("has an unknown protocol")

    # The stack

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise self._error("is damaged: a mark where a value is expected")
        return value

    def _top(self) -> Any:
        value = self._stack[-1]
        if value is _MARK:
            raise self._error("is damaged: a mark where a value is expected")
        return value

    def _pop_to_mark(self) -> list[Any]:
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index] is _MARK:
                values = self._stack[index + 1 :]
                del self._stack[index:]
                return values
        raise self._error("is damaged: a mark is missing")

    def _drop_to_mark(self) -> None:
        self._pop_to_mark()

    def _pop_tuple(self, count: int) -> None:
        values = tuple(self._stack[-count:])
        if len(values) < count or any(value is _MARK for value in values):
            raise self._error("is damaged: too few values for a tuple")
        self._stack[-count:] = [values]

    # Building values

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Call):
            target.elements.extend(values)
        else:
            raise self._error("is damaged: it appends to something that is not a list")

    def _append_one(self) -> None:
        value = self._pop()
        self._append([value])

    def _marked_dict(self) -> None:
        values = self._pop_to_mark()
        self._push({})
        self._set_items(values)

    def _set_item(self) -> None:
        value = self._pop()
        self._set_items([self._pop(), value])

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        items = target.items if isinstance(target, Call) else target
        if not isinstance(items, dict) or len(values) % 2:
            raise self._error("is damaged: it sets items of something that is not a dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            items[_hashable(key)] = value

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple):
            raise self._error("is damaged: arguments that are not a tuple")
        if function == Global("collections", "OrderedDict") and not arguments:
            self._push({})
        elif (
            function == Global("_codecs", "encode") and len(arguments) == 2 and isinstance(arguments[0], str)
        ):
            self._push(arguments[0].encode("latin-1", "replace"))
        else:
            self._push(Call(function, arguments))

    def _reduce(self) -> None:
        arguments = self._pop()
        self._call(self._pop(), arguments)

    def _new_with_keywords(self) -> None:
        self._pop()  # keyword arguments: nothing that holds tensors uses them
        self._reduce()

    def _call_marked(self) -> None:
        function, *arguments = self._pop_to_mark()
        self._call(function, tuple(arguments))

    def _instance(self) -> None:
        function = Global(self._line(), self._line())
        self._call(function, tuple(self._pop_to_mark()))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise self._error("is damaged: the name of a class is not text")
        self._push(Global(module, name))

    def _build(self) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, Call):
            target.state = state
        # Anything else (a dict with `_metadata`, a class) has no state that matters here.

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    def _get(self, index: int) -> None:
        self._push(self._memo[index])


def _hashable(key: Any) -> Any:
    """Keys that are not plain stay apart from all others: hashing a deep tuple could overflow the C stack."""
    return key if isinstance(key, (str, int, float, bytes, type(None))) else Call("key", ())


_STOP = ord(".")
_Action = Callable[[PickleReader], None]
_ACTIONS: dict[int, _Action] = {
    0x80: lambda m: m._protocol(),
    0x95: lambda m: m._skip(8),  # a frame's length only helps readers that buffer
    ord("("): lambda m: m._push(_MARK),
    ord("0"): lambda m: m._stack.pop(),
    ord("1"): lambda m: m._drop_to_mark(),
    ord("2"): lambda m: m._push(m._top()),
    # None, booleans, numbers
    ord("N"): lambda m: m._push(None),
    0x88: lambda m: m._push(True),
    0x89: lambda m: m._push(False),
    ord("I"): lambda m: m._push(m._integer_line()),
    ord("L"): lambda m: m._push(m._integer_line()),
    ord("J"): lambda m: m._push(m._number(_S32)),
    ord("K"): lambda m: m._push(m._number(_U8)),
    ord("M"): lambda m: m._push(m._number(_U16)),
    0x8A: lambda m: m._push(m._long(m._number(_U8))),
    0x8B: lambda m: m._push(m._long(m._number(_S32))),
    ord("F"): lambda m: m._push(float(m._line())),
    ord("G"): lambda m: m._push(struct.unpack(">d", m._take(8))[0]),
    # Text and bytes
    ord("S"): lambda m: m._push(m._line()[1:-1]),
    ord("T"): lambda m: m._push(m._take(m._number(_S32)).decode("latin-1")),
    ord("U"): lambda m: m._push(m._take(m._number(_U8)).decode("latin-1")),
    ord("V"): lambda m: m._push(m._line()),
    0x8C: lambda m: m._push(m._take(m._number(_U8)).decode("utf-8", "surrogatepass")),
    ord("X"): lambda m: m._push(m._take(m._number(_U32)).decode("utf-8", "surrogatepass")),
    0x8D: lambda m: m._push(m._take(m._number(_U64)).decode("utf-8", "surrogatepass")),
    ord("C"): lambda m: m._push(m._take(m._number(_U8))),
    ord("B"): lambda m: m._push(m._take(m._number(_U32))),
    0x8E: lambda m: m._push(m._take(m._number(_U64))),
    0x96: lambda m: m._push(m._take(m._number(_U64))),
    # Containers; sets become lists, since their elements need not be hashable here
    ord("]"): lambda m: m._push([]),
    ord("l"): lambda m: m._push(m._pop_to_mark()),
    ord("a"): lambda m: m._append_one(),
    ord("e"): lambda m: m._append(m._pop_to_mark()),
    ord(")"): lambda m: m._push(()),
    ord("t"): lambda m: m._push(tuple(m._pop_to_mark())),
    0x85: lambda m: m._pop_tuple(1),
    0x86: lambda m: m._pop_tuple(2),
    0x87: lambda m: m._pop_tuple(3),
    ord("}"): lambda m: m._push({}),
    ord("d"): lambda m: m._marked_dict(),
    ord("s"): lambda m: m._set_item(),
    ord("u"): lambda m: m._set_items(m._pop_to_mark()),
    0x8F: lambda m: m._push([]),
    0x90: lambda m: m._append(m._pop_to_mark()),
    0x91: lambda m: m._push(m._pop_to_mark()),
    # Memo
    ord("p"): lambda m: m._put(int(m._integer_line())),
    ord("q"): lambda m: m._put(m._number(_U8)),
    ord("r"): lambda m: m._put(m._number(_U32)),
    0x94: lambda m: m._put(len(m._memo)),
    ord("g"): lambda m: m._get(int(m._integer_line())),
    ord("h"): lambda m: m._get(m._number(_U8)),
    ord("j"): lambda m: m._get(m._number(_U32)),
    # What a real unpickler would import and call
    ord("c"): lambda m: m._push(Global(m._line(), m._line())),
    0x93: lambda m: m._stack_global(),
    ord("R"): lambda m: m._reduce(),
    0x81: lambda m: m._reduce(),
    0x92: lambda m: m._new_with_keywords(),
    ord("i"): lambda m: m._instance(),
    ord("o"): lambda m: m._call_marked(),
    ord("b"): lambda m: m._build(),
    ord("P"): lambda m: m._push(PersistentId(m._line())),
    ord("Q"): lambda m: m._push(PersistentId(m._pop())),
}
