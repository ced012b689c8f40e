"""YAML as people mean it: no code, no duplicate keys, bounded aliases, ``1e-5`` a number; with positions.

Scalars follow the core schema of YAML 1.2: only ``true``/``false`` are booleans (not ``on``, ``no``),
``12:30:45`` and dates stay text.  A number with a leading zero means 8·8 in one YAML version and 10·10 in the
other, so it is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io.limits import MAX_DEPTH, MAX_NUMBER_CHARS, MAX_YAML_BYTES, MAX_YAML_NODES
from vacc_deploy.safe_io.positions import KeyPath, Position, Positions
from vacc_deploy.safe_io.source import PathLike, file_error, read_text

# libyaml's parser where PyYAML was built with it: about 15 times faster, and not quadratic in open brackets.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TOO_DEEP, _FLATTEN = f"nested more than {MAX_DEPTH} levels deep", "flatten the file"
_TAGS = frozenset({None, "!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))})


@dataclass(slots=True)
class _Node:
    """A scalar, list or mapping with its place; mappings keep their keys' places."""

    value: Any  # scalar | list[_Node] | dict[key, tuple[Position, _Node]]
    position: Position
    nodes: int = 1  # of the whole subtree
    merges: list[_Node] = field(default_factory=list)  # what `<<` keys bring in


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.anchors: dict[str, _Node] = {}
        self.total = 0

    def error(self, position: Position | None, reason: str, hint: str) -> FileError:
        place = self.where if position is None else f"{self.where}:{position.line}:{position.column}"
        return file_error(place, reason, hint)

    def document(self) -> _Node | None:
        root: _Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self.error(
                        _place(event), "a second document begins here", "keep one document per file"
                    )
                root = self.node(next(self.events), 1)
        return root

    def node(self, event: Any, depth: int) -> _Node:
        position = _place(event)
        if depth > MAX_DEPTH:
            raise self.error(position, _TOO_DEEP, _FLATTEN)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event.anchor, position)
        if event.tag not in _TAGS:
            raise self.error(position, f"the YAML tag '{event.tag}' is not allowed", "remove the tag")
        self.count(position, 1)
        if isinstance(event, yaml.ScalarEvent):
            node = _Node(self.scalar(event, position), position)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(position, depth)
        else:
            node = self.mapping(position, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node  # only now, so that an alias inside itself is unknown
        return node

    def count(self, position: Position, nodes: int) -> None:
        self.total += nodes
        if self.total > MAX_YAML_NODES:
            raise self.error(
                position,
                f"more than {MAX_YAML_NODES} values after aliases are expanded",
                "write the file without them",
            )

    def alias(self, name: str | None, position: Position) -> _Node:
        node = self.anchors.get(name or "")
        if node is None:
            raise self.error(
                position, f"the alias '*{name}' has no complete anchor before it", "write the value out"
            )
        self.count(position, node.nodes)
        return node

    def sequence(self, position: Position, depth: int) -> _Node:
        items: list[_Node] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return _Node(items, position, 1 + sum(item.nodes for item in items))

    def mapping(self, position: Position, depth: int) -> _Node:
        entries: dict[Any, tuple[Position, _Node]] = {}
        merges: list[_Node] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key_node = self.node(event, depth + 1)
            place, key = key_node.position, key_node.value
            value = self.node(next(self.events), depth + 1)
            if isinstance(key, (list, dict)):
                raise self.error(
                    place, "a list or mapping stands where a key is expected", "use a plain word as key"
                )
            if key == "<<" and event.implicit[0]:
                merges += value.value if isinstance(value.value, list) else [value]
                if not all(isinstance(node.value, dict) for node in merges):
                    raise self.error(
                        value.position, "'<<' can only merge mappings", "give it the alias of a mapping"
                    )
                continue
            if key in entries:
                raise self.error(
                    place,
                    f"the key '{str(key)[:80]}' stands twice, first on line {entries[key][0].line}",
                    "remove one of the two: which one counts would be a guess",
                )
            entries[key] = (place, value)
        nodes = 1 + sum(1 + value.nodes for _, value in entries.values()) + sum(node.nodes for node in merges)
        return _Node(entries, position, nodes, merges)

    def scalar(self, event: Any, position: Position) -> str | int | float | bool | None:
        text: str = event.value
        if not event.implicit[0]:  # quoted, block or tagged
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _LEADING_ZERO.fullmatch(text):
            raise self.error(
                position,
                f"'{text[:40]}' is octal in YAML 1.1 and decimal in YAML 1.2",
                "drop the zero, or quote it",
            )
        number = _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)
        if _NON_FINITE.fullmatch(text) or (number and len(text) > MAX_NUMBER_CHARS):
            raise self.error(position, f"'{text[:40]}' is not a finite number", "give a finite number")
        if _INTEGER.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if not math.isfinite(value):
                raise self.error(position, f"'{text[:40]}' is beyond a 64-bit float", "give a smaller number")
            return value
        return text


def _place(event: Any) -> Position:
    return Position(event.start_mark.line + 1, event.start_mark.column + 1)


def _plain(node: _Node, path: KeyPath, positions: Positions) -> Any:
    """The node as plain Python values; records the places on the way."""
    positions.values[path] = node.position
    if isinstance(node.value, list):
        return [_plain(item, (*path, index), positions) for index, item in enumerate(node.value)]
    if not isinstance(node.value, dict):
        return node.value
    result: dict[Any, Any] = {}
    for merged in node.merges:
        for key, value in _plain(merged, path, positions).items():
            result.setdefault(key, value)
    for key, (place, value) in node.value.items():
        positions.keys[(*path, key)] = place
        result[key] = _plain(value, (*path, key), positions)
    return result


def parse_yaml(text: str, where: str) -> tuple[Any, Positions]:
    """Parse one YAML document.

    Args:
        text: The document.
        where: The file's name, for messages.

    Returns:
        Plain dicts, lists and scalars, and the place of each.

    Raises:
        FileError: The text is not YAML, or uses what this reader refuses; names line and column.
    """
    positions = Positions(where)
    try:
        root = _Reader(text, where).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        problem = error.problem or error.context or "syntax error"
        if "nesting depth" in problem:  # libyaml reads ahead, and may meet its own limit before ours
            raise file_error(place, _TOO_DEEP, _FLATTEN) from None
        hint = "indent with spaces" if "\\t" in problem else "correct the file at this place"
        raise file_error(place, f"not valid YAML: {problem}", hint) from None
    except yaml.YAMLError as error:
        raise file_error(
            where, "not valid YAML", "save it as plain UTF-8 text", " ".join(str(error).split())
        ) from None
    if root is None:
        return None, positions
    return _plain(root, (), positions), positions


def read_yaml(path: PathLike) -> tuple[Any, Positions]:
    """The contents of a YAML file and where each of its keys and values stands.

    Raises:
        FileError: The file is unreadable, too large, not YAML, or uses duplicate keys, tags, several
            documents, recursive or exploding aliases, or more than 32 levels.
    """
    return parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))
