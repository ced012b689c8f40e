"""The emulated run stream: picture → vdsp operator → float16 tensor → network → outputs, on threads.

One request is a batch of items. An item is a picture (goes through the vdsp operator), an array (the
network's only input) or a sequence of arrays (its inputs in order).
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from vacc_deploy.errors import RunError
from vacc_deploy.runtime.ordered_pool import OrderedPool

if TYPE_CHECKING:
    from vacc_deploy.runtime.vdsp import Image

    Item: TypeAlias = Image | np.ndarray | Sequence[np.ndarray]
    Array: TypeAlias = np.ndarray


class Spec(Protocol):
    """Name, shape and dtype of one input or output."""

    @property
    def name(self) -> str:
        """Name in the source model."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the batch dimension (1) in front."""

    @property
    def dtype(self) -> str:
        """NumPy's name of the element type."""


class Network(Protocol):
    """What a stream needs of a model; `vacc_deploy.runtime.model.Model` is the real one."""

    @property
    def inputs(self) -> Sequence[Any]:
        """Specs of the inputs, in order."""

    @property
    def outputs(self) -> Sequence[Any]:
        """Specs of the outputs, in order."""

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Outputs for one item, batch dimension 1."""


class Preprocessor(Protocol):
    """What a stream needs of a vdsp operator; `vacc_deploy.runtime.vdsp.VdspOp` is the real one."""

    def run(self, image: Any, *, input_shape: tuple[int, int, int, int], **overrides: Any) -> np.ndarray:
        """The float16 tensor (C, H, W) of one picture."""


@dataclass(frozen=True, slots=True)
class Request:
    """A batch on its way: items, and per item what overrides the vdsp operator's parameters."""

    items: Sequence[Item]
    overrides: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What one request came to.

    Args:
        inputs: Per item, the arrays that the network got (batch dimension 1).
        outputs: Per item, the network's outputs in its own order (batch dimension 1).
    """

    inputs: list[list[np.ndarray]]
    outputs: list[list[np.ndarray]]


class RunStream:
    """Requests in, results out in the same order; thread safe; a full queue makes the producer wait.

    Args:
        models: The network; or several equal ones, each then an instance with a thread of its own.
        vdsp_op: Turns pictures into tensors; without it only tensors are accepted.
        queue_size: Requests that may wait per instance, besides the one being computed.

    Example:
        >>> class Twice:
        ...     inputs = outputs = ()
        ...     def run(self, arrays):
        ...         return [2 * arrays[0]]
        >>> with RunStream(Twice()) as stream:
        ...     stream.submit([np.ones((1, 1, 1, 1))]).result().outputs[0][0].item()
        2.0
    """

    def __init__(
        self, models: Network | Sequence[Network], vdsp_op: Preprocessor | None = None, queue_size: int = 1
    ) -> None:
        networks = list(models) if isinstance(models, Sequence) else [models]
        self._model = networks[0]
        self._vdsp_op = vdsp_op
        self._pool: OrderedPool[Request, StreamResult] = OrderedPool(
            [partial(_answer, network, vdsp_op) for network in networks],
            queue_size=queue_size * len(networks),
        )
        # The threads hold the pool, not the stream: one that nobody refers to any more lets them end.
        weakref.finalize(self, self._pool.close).atexit = False
        self._capacity = (queue_size + 1) * len(networks)

    @property
    def instances(self) -> int:
        """How many instances of the network work side by side."""
        return self._pool.size

    def submit(
        self,
        items: Sequence[Item],
        overrides: Sequence[Mapping[str, Any]] | None = None,
        on_accept: Callable[[Future[StreamResult]], None] | None = None,
    ) -> Future[StreamResult]:
        """The future of one request's result; waits while the queue is full.

        Args:
            items: The batch: pictures, arrays, or sequences of arrays.
            overrides: Per item, keyword arguments for the vdsp operator.
            on_accept: Called with the future when the queue accepts the request, in the order of acceptance.

        Raises:
            RunError: The stream is closed, or an item does not fit the network. Errors that only the
                computation can find are raised by the future.
        """
        request = Request(items, overrides or [{}] * len(items))
        check_request(request, self._model, self._vdsp_op)
        return self._pool.submit(request, on_accept)

    def run(self, items: Sequence[Item]) -> StreamResult:
        """The result of one request, waited for."""
        return self.submit(items).result()

    def run_all(self, requests: Iterable[Sequence[Item]]) -> Iterator[StreamResult]:
        """Results in the order of `requests`, which is read only as fast as the stream works."""
        pending: deque[Future[StreamResult]] = deque()
        for items in requests:
            if len(pending) >= self._capacity:
                yield pending.popleft().result()
            pending.append(self.submit(items))
        while pending:
            yield pending.popleft().result()

    def close_input(self) -> None:
        """Accept no more requests; returns at once, those accepted are finished."""
        self._pool.close()

    def drain(self) -> None:
        """Wait until every accepted request has its result."""
        self._pool.drain()

    def close(self) -> None:
        """Finish what was submitted, then end the threads. A second call does nothing."""
        self._pool.join()

    def __enter__(self) -> RunStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _answer(network: Network, vdsp_op: Preprocessor | None, request: Request) -> StreamResult:
    inputs = [
        network_inputs(item, network, vdsp_op, overrides)
        for item, overrides in zip(request.items, request.overrides, strict=True)
    ]
    return StreamResult(inputs, [[_half(array) for array in network.run(arrays)] for arrays in inputs])


def network_inputs(
    item: Item, network: Network, vdsp_op: Preprocessor | None, overrides: Mapping[str, Any]
) -> list[np.ndarray]:
    """The network's input arrays for one item: a picture pre-processed, tensors brought to shape and type."""
    if isinstance(item, np.ndarray):
        item = [item]
    if not isinstance(item, (list, tuple)):
        if vdsp_op is None:
            raise RunError(
                "the network was given a picture, and no vdsp operator to turn it into a tensor",
                hint="give the vdsp JSON (--vdsp_params), or submit a float tensor",
            )
        shape = network.inputs[0].shape
        tensor = vdsp_op.run(item, input_shape=shape, **overrides)
        return [tensor if tensor.ndim == len(shape) else tensor[np.newaxis]]
    if not network.inputs:
        return list(item)
    return [
        _fitted(array, spec) for array, spec in zip(item, network.inputs, strict=False)
    ]  # the surplus of token inputs is dropped, see check_request


def check_request(request: Request, network: Network, vdsp_op: Preprocessor | None) -> None:
    """Raise a `RunError` for an item whose tensors do not fit the network's inputs."""
    if not request.items:
        raise RunError("a request needs at least one item")
    if len(request.overrides) != len(request.items):
        raise RunError(
            f"{len(request.overrides)} sets of run-time parameters for {len(request.items)} items",
            hint="give one per item",
        )
    for item in request.items:
        arrays = [item] if isinstance(item, np.ndarray) else item
        if not isinstance(arrays, (list, tuple)) or not network.inputs:
            continue
        # The card's compiler asks token models for six inputs where the network reads three.
        surplus_tokens = len(arrays) > len(network.inputs) and all(a.dtype.kind in "iu" for a in arrays)
        if len(arrays) != len(network.inputs) and not surplus_tokens:
            raise RunError(
                f"the network has {len(network.inputs)} inputs, {len(arrays)} were given",
                hint="inputs: " + ", ".join(f"{spec.name} {list(spec.shape)}" for spec in network.inputs),
            )
        for array, spec in zip(arrays, network.inputs, strict=False):
            if array.shape not in (tuple(spec.shape), tuple(spec.shape[1:])):
                raise RunError(
                    f"input {spec.name!r} has shape {list(spec.shape)}, got {list(array.shape)}",
                    hint="artifacts have static shapes: resize the data, or compile for this shape",
                )


def _half(array: np.ndarray) -> np.ndarray:
    # The card hands out halves whatever the network computed in.
    return array.astype(np.float16) if array.dtype.kind == "f" else array


def _fitted(array: np.ndarray, spec: Any) -> np.ndarray:
    if array.ndim == len(spec.shape) - 1:
        array = array[np.newaxis]
    if array.dtype.kind in "iu":
        array = array.astype(spec.dtype, copy=False)
    return array
