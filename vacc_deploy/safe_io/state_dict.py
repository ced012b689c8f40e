"""Finding the weights in what somebody saved: a state dict, one inside training state, or a whole module."""

from __future__ import annotations

from typing import Any

from vacc_deploy.safe_io.pickle_machine import Call
from vacc_deploy.safe_io.torch_tensors import TensorView, as_tensor

# Where training scripts put the weights, best first: averaged weights are what their authors publish results
# with.
WRAPPERS = (
    "params_ema", "g_ema", "state_dict_ema", "model_ema", "ema", "params", "state_dict", "model_state_dict",
    "model_state", "model", "net", "network", "generator", "netG", "weights",
)  # fmt: skip
_MAX_NESTING = 16
_MAX_MODULES = 100_000


def find_state_dict(root: Any) -> dict[str, TensorView]:
    """The weights in an unpickled checkpoint, by their state-dict keys without a leading ``module.``.

    Empty if there are none.
    """
    value = root
    for _ in range(_MAX_NESTING):
        tensors = _tensors_in(value)
        if tensors:
            return strip_module(tensors)
        inner = _inner(value)
        if inner is None:
            return {}
        value = inner
    return {}


def describe_entries(root: Any) -> str:
    """The names at the top of a checkpoint without weights, for a message."""
    entries = _entries(root)
    if not entries:
        return f"it holds one {type(root).__name__}"
    names = sorted(str(name)[:40] for name in entries)
    return "it holds " + ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def strip_module(tensors: dict[str, Any]) -> dict[str, Any]:
    """The same tensors without the ``module.`` that DataParallel puts before every name."""
    while tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _entries(value: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, Call):
        if value.items:
            return value.items
        pairs = value.arguments[0] if len(value.arguments) == 1 else None  # OrderedDict([(key, value), …])
        if isinstance(pairs, (list, tuple)) and all(
            isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs
        ):
            return {pair[0]: pair[1] for pair in pairs if isinstance(pair[0], str)}
    return {}


def _tensors_in(value: Any) -> dict[str, TensorView]:
    if isinstance(value, Call) and _module_state(value):
        return _flatten_module(value)
    found = ((name, as_tensor(entry)) for name, entry in _entries(value).items() if isinstance(name, str))
    return {name: tensor for name, tensor in found if tensor is not None}


def _inner(value: Any) -> Any:
    entries = _entries(value)
    for name in WRAPPERS:
        if isinstance(entries.get(name), (dict, Call)):
            return entries[name]
    candidates = [entry for entry in entries.values() if _tensors_in(entry)]
    if isinstance(value, (list, tuple)):
        candidates = [entry for entry in value if isinstance(entry, (dict, Call)) and _tensors_in(entry)]
    return candidates[0] if len(candidates) == 1 else None


def _module_state(value: Call) -> dict[Any, Any]:
    """A module's ``__dict__`` if the object is one; TorchScript's modules keep plain attributes there."""
    state = value.state
    if not isinstance(state, dict):
        return {}
    if "_parameters" in state or "_modules" in state:
        return state
    is_script = str(value.function).startswith("__torch__")
    return state if is_script else {}


def _flatten_module(module: Call) -> dict[str, TensorView]:
    """A module tree's parameters and buffers by state-dict key; shared modules appear under each name."""
    tensors: dict[str, TensorView] = {}
    pending: list[tuple[str, Call, int]] = [("", module, 0)]
    visited = 0
    while pending:
        prefix, current, depth = pending.pop()
        visited += 1
        if depth > _MAX_NESTING or visited > _MAX_MODULES:
            continue
        state = _module_state(current)
        torch_style = "_parameters" in state or "_modules" in state
        tables = (
            [state.get(key) for key in ("_parameters", "_buffers", "_modules")] if torch_style else [state]
        )
        children: list[tuple[str, Call, int]] = []
        for table in tables:
            for name, entry in _entries(table).items():
                tensor = as_tensor(entry)
                if tensor is not None:
                    tensors[f"{prefix}{name}"] = tensor
                elif isinstance(entry, Call):
                    children.append((f"{prefix}{name}.", entry, depth + 1))
        pending.extend(reversed(children))
    return tensors
