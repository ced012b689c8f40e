"""Finding the weights in what somebody saved: a state dict, one inside training state, or a whole module."""

from __future__ import annotations

from typing import Any

from vacc_deploy.safe_io.pickle_machine import Call, Global
from vacc_deploy.safe_io.torch_tensors import TensorView, as_tensor

# Where training scripts put the weights, best first: averaged weights are what their authors publish results
# with.
WRAPPERS = (
    "params_ema", "g_ema", "state_dict_ema", "model_ema", "ema", "params", "state_dict", "model_state_dict",
    "model_state", "model", "net", "network", "generator", "netG", "weights",
)  # fmt: skip
_MAX_NESTING = 16
_MAX_ENTRIES = 100_000  # of all modules, those of a shared one counted at each of its places
_MAX_KEY = 512
_NOTHING: dict[Any, Any] = {}  # one object, since answers are kept by identity


class TooLargeError(ValueError):
    """A module tree that no network has, built of a few modules that hold each other many times over."""


def find_state_dict(root: Any) -> dict[str, TensorView]:
    """The weights in an unpickled checkpoint, by their state-dict keys without a leading ``module.``.

    Empty if there are none.

    Raises:
        TooLargeError: A module tree of absurd size.
    """
    search, value = _Search(), root
    for _ in range(_MAX_NESTING):
        tensors = search.tensors_in(value)
        if tensors:
            return strip_module(tensors)
        value = search.inner(value)
        if value is None:
            return {}
    return {}


def describe_entries(root: Any) -> str:
    """The names at the top of a checkpoint without weights, for a message."""
    entries = _Search().entries(root)
    if not entries:
        return f"it holds one {type(root).__name__}"
    # Other keys may be tuples of tuples whose text has no end.
    names = sorted(str(name)[:40] for name in entries if isinstance(name, (str, int, float)))
    return "it holds " + (", ".join(names[:12]) or "no names") + (" …" if len(names) > 12 else "")


def strip_module(tensors: dict[str, Any]) -> dict[str, Any]:
    """The same tensors without the ``module.`` that DataParallel puts before every name."""
    while tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


class _Search:
    """Looks at each object once, however often the pickle refers to it: the answers are kept by identity."""

    def __init__(self) -> None:
        self._tensors: dict[int, dict[str, TensorView]] = {}
        self._pairs: dict[int, dict[Any, Any]] = {}
        self._module_entries = 0

    def entries(self, value: Any) -> dict[Any, Any]:
        """What a dict, or an object that a pickle fills like one, holds."""
        if isinstance(value, dict):
            return value
        if not isinstance(value, Call):
            return _NOTHING
        if value.items:
            return value.items
        pairs = value.arguments[0] if len(value.arguments) == 1 else None  # OrderedDict([(key, value), …])
        if not isinstance(pairs, (list, tuple)):
            return _NOTHING
        if id(pairs) not in self._pairs:
            fits = all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs)
            self._pairs[id(pairs)] = {p[0]: p[1] for p in pairs if isinstance(p[0], str)} if fits else {}
        return self._pairs[id(pairs)]

    def tensors_in(self, value: Any) -> dict[str, TensorView]:
        """The tensors that a state dict, or a module and its children, hold by name."""
        if isinstance(value, Call) and _module_state(value):
            return self._flatten_module(value)
        entries = self.entries(value)
        if id(entries) not in self._tensors:
            found = ((name, as_tensor(entry)) for name, entry in entries.items() if isinstance(name, str))
            self._tensors[id(entries)] = {name: tensor for name, tensor in found if tensor is not None}
        return self._tensors[id(entries)]

    def inner(self, value: Any) -> Any:
        """What within `value` looks most like the weights, or None."""
        entries = self.entries(value)
        for name in WRAPPERS:
            if isinstance(entries.get(name), (dict, Call)):
                return entries[name]
        values = value if isinstance(value, (list, tuple)) else entries.values()
        candidates = {id(v): v for v in values if isinstance(v, (dict, Call))}
        filled = [candidate for candidate in candidates.values() if self.tensors_in(candidate)]
        return filled[0] if len(filled) == 1 else None

    def _flatten_module(self, module: Call) -> dict[str, TensorView]:
        """A module tree's parameters and buffers by state-dict key; shared modules appear under each name."""
        tensors: dict[str, TensorView] = {}
        pending: list[tuple[str, Call, int]] = [("", module, 0)]
        while pending:
            prefix, current, depth = pending.pop()
            state = _module_state(current)
            torch_style = "_parameters" in state or "_modules" in state
            tables = (
                [state.get(key) for key in ("_parameters", "_buffers", "_modules")]
                if torch_style
                else [state]
            )
            children: list[tuple[str, Call, int]] = []
            for entries in map(self.entries, tables):
                self._module_entries += len(entries)
                if self._module_entries > _MAX_ENTRIES:
                    raise TooLargeError(f"its modules have more than {_MAX_ENTRIES} entries")
                for name, entry in entries.items():
                    if not isinstance(name, str) or len(prefix) + len(name) > _MAX_KEY:
                        continue
                    tensor = as_tensor(entry)
                    if tensor is not None:
                        tensors[f"{prefix}{name}"] = tensor
                    elif isinstance(entry, Call) and depth < _MAX_NESTING:
                        children.append((f"{prefix}{name}.", entry, depth + 1))
            pending.extend(reversed(children))
        return tensors


def _module_state(value: Call) -> dict[Any, Any]:
    """A module's ``__dict__`` if the object is one; TorchScript's modules keep plain attributes there."""
    state = value.state
    if not isinstance(state, dict):
        return {}
    if "_parameters" in state or "_modules" in state:
        return state
    is_script = isinstance(value.function, Global) and value.function.module.startswith("__torch__")
    return state if is_script else {}
