"""The spellings of ten years of build YAMLs, brought to one before they are checked.

Old files (``vamc build``) say ``model``, ``work_dir`` and no types; new ones (``vamc compile``) say ``name``,
``path``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from vacc_deploy.config.frontend import TYPE_BY_SUFFIX
from vacc_deploy.config.remark import Level, Remark
from vacc_deploy.safe_io import KeyPath, Positions

# (section, what some files write) → what is meant.
_SYNONYMS: dict[tuple[KeyPath, str], str] = {
    ((), "model"): "name",
    (("workspace",), "work_dir"): "path",
}
_TYPOS: dict[tuple[KeyPath, str], str] = {
    (("backend", "quantize"), "alibrate_mode"): "calibrate_mode",
}


@dataclass(slots=True)
class Normalised:
    """A build YAML's data in one dialect.

    Attributes:
        data: The data; the file's own are not touched.
        renamed: Path after → path in the file, for everything that was renamed.
        remarks: What was unusual.
    """

    data: dict[str, Any]
    positions: Positions
    renamed: dict[KeyPath, KeyPath] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)

    def original(self, path: KeyPath) -> KeyPath:
        """Where the file has what `path` names now."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.renamed:
                return self.renamed[path[:length]] + path[length:]
        return path

    def rename(self, path: KeyPath, key: str) -> None:
        """Move what stands at `path` to another key of the same section."""
        table: Any = self.data
        for step in path[:-1]:
            table = table[step]
        table[key] = table.pop(path[-1])
        self.renamed[(*path[:-1], key)] = self.original(path)

    def settle(self) -> None:
        """Fill in what the file leaves open but its other values decide."""
        _infer_frontend_type(self)
        _settle_process_ops(self)

    def remark(self, path: KeyPath, what: str, level: Level = "warning") -> None:
        """Note something about a key."""
        self.remarks.append(Remark(what, self.positions.key(self.original(path)), level))


def normalise(data: dict[str, Any], positions: Positions) -> Normalised:
    """Bring both vendor dialects and known typos to the canonical keys."""
    result = Normalised(_without_empty_sections(data), positions)
    for (section, old), new in (*_SYNONYMS.items(), *_TYPOS.items()):
        table = _section(result.data, section)
        if table is None or old not in table or new in table:
            continue
        result.rename((*section, old), new)
        if (section, old) in _TYPOS:
            result.remark((*section, new), f"'{old}' is taken for '{new}'")
    result.settle()
    return result


def _without_empty_sections(data: dict[str, Any]) -> dict[str, Any]:
    """A copy, one level deep where needed, in which ``quantize:`` without anything below is absent."""
    copy: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            copy[key] = {
                name: item
                for name, item in value.items()
                if item is not None or name in ("type", "checkpoint")
            }
            for name, item in copy[key].items():
                if isinstance(item, dict) and name != "shape":
                    copy[key][name] = dict(item)
        elif value is not None or key not in ("dataset", "graph"):
            copy[key] = value
    return copy


def _section(data: dict[str, Any], path: KeyPath) -> dict[str, Any] | None:
    table: Any = data
    for name in path:
        table = table.get(name) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


def _infer_frontend_type(result: Normalised) -> None:
    frontend = _section(result.data, ("frontend",))
    if (
        frontend is None
        or frontend.get("type") is not None
        or not isinstance(frontend.get("checkpoint"), str)
    ):
        return
    suffix = PurePosixPath(frontend["checkpoint"]).suffix.lower()
    if suffix in TYPE_BY_SUFFIX:
        frontend["type"] = TYPE_BY_SUFFIX[suffix]
        result.remark(
            ("frontend", "checkpoint"),
            f"frontend.type is taken as {frontend['type']} from '{suffix}'",
            "note",
        )


def _settle_process_ops(result: Normalised) -> None:
    dataset = _section(result.data, ("dataset",))
    if dataset is None or not isinstance(dataset.get("process_ops"), list):
        return
    ops = [dict(op) if isinstance(op, dict) else op for op in dataset["process_ops"]]
    dataset["process_ops"] = ops
    for index, op in enumerate(ops):
        if isinstance(op, dict):
            _SETTLERS.get(str(op.get("type")), _nothing)(result, ("dataset", "process_ops", index), op)


def _nothing(result: Normalised, path: KeyPath, op: dict[str, Any]) -> None:
    pass


def _settle_normalize(result: Normalised, path: KeyPath, op: dict[str, Any]) -> None:
    if "div255" in op and op["div255"] is None:
        op["div255"] = False
        result.remark((*path, "div255"), "div255: null is taken for false: the pixels stay 0…255")
    if "norm_type" in op and op["norm_type"] in (None, "None") and (op.get("mean") or op.get("std")):
        result.remark(
            (*path, "norm_type"), "norm_type says no mean and std, but they are given: they are used"
        )


_SETTLERS: dict[str, Callable[[Normalised, KeyPath, dict[str, Any]], None]] = {"Normalize": _settle_normalize}
