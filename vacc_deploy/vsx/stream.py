"""`vsx.Stream`: a graph at work. The asynchronous contract that scripts rely on is stated in `Stream`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import RunError
from vacc_deploy.runtime.stream import RunStream, StreamResult
from vacc_deploy.runtime.vdsp import VdspOp
from vacc_deploy.vsx.enums import StreamBalanceMode
from vacc_deploy.vsx.errors import UnsupportedError
from vacc_deploy.vsx.graph import Graph
from vacc_deploy.vsx.image import Image
from vacc_deploy.vsx.layout_884 import is_tiled_shape, untile
from vacc_deploy.vsx.model import ModelOperator
from vacc_deploy.vsx.operator import Operator
from vacc_deploy.vsx.output_queue import OutputQueue
from vacc_deploy.vsx.tensor import Tensor

if TYPE_CHECKING:
    from vacc_deploy.runtime.stream import Item

_QUEUE_SIZE = 4  # requests that wait before run_async holds its caller back
_UNREAD_LIMIT = 64  # results that a reading thread may be behind before run_async waits for it

_LETTERBOX = "rgb_letterbox_ext"
_CROP_RESIZE = "crop_resize_ext"
_CROP_RESIZE_FIELDS = ("crop_x", "crop_y", "resize_width", "resize_height")
_DYNAMIC_SHAPES = "dynamic_model_input_shapes"


class Stream:
    """Runs a graph on requests.

    1. `run_async` returns at once unless the stream is behind; any thread may call it.
    2. Every registered output is a queue of its own; `get_operator_output` waits for its next result, and
       results come in the order in which `run_async` accepted the requests.
    3. After `close_input`, once a queue's results are read, `get_operator_output` raises `ValueError`.
    4. `wait_until_done` waits for the computation, not for anybody to read the results.
    5. `run_sync` may be called at any time; its result appears in no queue.
    6. A request that fails raises its error where its result would have been read.

    Args:
        graph: The operators.
        balance_mode: Without effect in the emulation.
    """

    def __init__(self, graph: Graph, balance_mode: StreamBalanceMode = StreamBalanceMode.ONCE) -> None:
        self._graph = graph
        self.balance_mode = balance_mode
        self._queues: dict[object, OutputQueue] = {}
        self._sources: dict[OutputQueue, tuple[Operator | ModelOperator, tuple[int, ...] | None]] = {}
        self._stream: RunStream | None = None

    def register_operator_output(self, *arguments: Any) -> int:
        """Announce that an operator's output will be read.

        Args:
            *arguments: ``operator``, ``name, operator`` or ``name, operator, [[shape, type]]``; the name or
                the operator is what `get_operator_output` is asked with.

        Raises:
            RunError: The stream is built, or the operator is not part of the graph.
        """
        named = isinstance(arguments[0], str)
        key, operator = arguments[0], arguments[1 if named else 0]
        infos = arguments[2 if named else 1] if len(arguments) > (2 if named else 1) else None
        if self._stream is not None:
            raise RunError("outputs are registered before build()")
        if operator not in self._graph.operators:
            raise RunError("the operator is not part of the stream's graph", hint="graph.add_operators first")
        queue = OutputQueue(_UNREAD_LIMIT)
        self._sources[queue] = (operator, _declared_shape(infos))
        self._queues[key] = queue
        if named:
            self._queues.setdefault(operator, queue)
        return 0

    def build(self) -> int:
        """Load the graph; requests are accepted from now on.

        Raises:
            RunError: The graph is not vdsp operators followed by a network.
        """
        network = self._graph.model_operator().model.compiled
        self._stream = RunStream(network, _GraphPreprocessor(), queue_size=_QUEUE_SIZE)
        return 0

    def run_async(self, items: Sequence[Any], params: Mapping[str, Any] | None = None) -> bool:
        """Submit a batch: images, tensors, or lists of tensors; returns True.

        Args:
            items: The batch.
            params: ``rgb_letterbox_ext``: per item (width, height, top, bottom, left, right).
                ``crop_resize_ext``: per item (x, y, width, height): where to crop, to what size to resize.
                ``dynamic_model_input_shapes``: per item the shapes of the inputs.

        Raises:
            RunError: The input is closed, or an item does not fit.
        """
        stream = self._built()
        requests, overrides = self._prepare(items, params)
        for queue in self._sources:
            queue.wait_for_room()

        def put(future: Any) -> None:
            for queue in self._sources:
                queue.put(future)

        stream.submit(requests, overrides, on_accept=put)
        return True

    def run_sync(self, items: Sequence[Any], params: Mapping[str, Any] | None = None) -> list[list[Tensor]]:
        """Submit a batch and wait: per item, the network's outputs.

        Raises:
            RunError: The input is closed, an item does not fit, or the computation failed.
        """
        result = self._built().submit(*self._prepare(items, params)).result()
        return [[Tensor(array) for array in outputs] for outputs in result.outputs]

    def get_operator_output(self, key: str | Operator | ModelOperator) -> list[list[Tensor]]:
        """The next result of a registered output: per item of the batch, the operator's outputs.

        Raises:
            ValueError: The input is closed and every result was read.
            RunError: The output is not registered, or this request failed.
        """
        if key not in self._queues:
            name = key if isinstance(key, str) else type(key).__name__
            raise RunError(
                f"output {name!r} is not registered", hint="register_operator_output before build()"
            )
        queue = self._queues[key]
        operator, shape = self._sources[queue]
        return _tensors(queue.get(), operator, shape)

    def close_input(self) -> int:
        """Accept no more requests."""
        self._built().close_input()
        for queue in self._sources:
            queue.close()
        return 0

    def wait_until_done(self) -> int:
        """Wait until everything submitted is computed."""
        self._built().drain()
        return 0

    def _built(self) -> RunStream:
        if self._stream is None:
            raise RunError("the stream is not built yet", hint="call build() after registering the outputs")
        return self._stream

    def _prepare(
        self, items: Sequence[Any], params: Mapping[str, Any] | None
    ) -> tuple[list[Item], list[dict[str, Any]]]:
        if not isinstance(items, (list, tuple)):
            raise RunError(f"a request is a list of items, not {_kind(items)}", hint="run_sync([image])")
        model = self._graph.model_operator().model
        params = dict(params or {})
        for shapes in params.pop(_DYNAMIC_SHAPES, []):
            model.set_input_shape(shapes)
        boxes = _per_item(params, _LETTERBOX, len(items))
        windows = _per_item(params, _CROP_RESIZE, len(items))
        if params:
            raise UnsupportedError(f"run-time parameter {sorted(params)[0]!r} is not emulated")
        ops = [operator.snapshot() for operator in self._graph.vdsp_operators()]
        overrides: list[dict[str, Any]] = [{"ops": ops} for _ in items]
        for entry, box in zip(overrides, boxes, strict=False):
            entry[_LETTERBOX] = box
        for entry, window in zip(overrides, windows, strict=False):
            entry.update(zip(_CROP_RESIZE_FIELDS, window, strict=True))
        return [_to_item(item, model.input_shape) for item in items], overrides


class _GraphPreprocessor:
    """The graph's vdsp operators as they were when the request was submitted, one after the other."""

    def run(
        self, image: Any, *, input_shape: Sequence[int], ops: Sequence[VdspOp] = (), **overrides: Any
    ) -> npt.NDArray[np.float16]:
        if not ops:
            raise RunError(
                "the graph has no vdsp operator, the network cannot take an image",
                hint="add one with graph.add_operators, or submit tensors",
            )
        for op in ops[:-1]:
            (image,) = op.run_images(image)
        return ops[-1].run(image, input_shape=input_shape, **overrides)


def _to_item(item: Any, shapes: Sequence[Sequence[int]]) -> Item:
    if isinstance(item, Image):
        return item.picture
    tensors = item if isinstance(item, (list, tuple)) else [item]
    if len(tensors) == 1 and isinstance(tensors[0], Image):
        return tensors[0].picture
    if not all(isinstance(tensor, (Tensor, np.ndarray)) for tensor in tensors):
        raise RunError(
            f"an item of a request is an image, a tensor or a list of tensors, not {_kind(item)}",
            hint="vsx.create_image makes images of pixels, vsx.from_numpy tensors of arrays",
        )
    arrays = [tensor.array if isinstance(tensor, Tensor) else tensor for tensor in tensors]
    return [
        untile(array, shapes[index]) if is_tiled_shape(array.shape) and len(shapes[index]) == 4 else array
        for index, array in enumerate(arrays)
    ]


def _kind(item: Any) -> str:
    """``str``, or ``list of Image, Image`` for what holds several."""
    kind = type(item).__name__
    if isinstance(item, (list, tuple)):
        return f"{kind} of {', '.join(type(entry).__name__ for entry in item[:3])}"
    return kind


def _per_item(params: dict[str, Any], key: str, items: int) -> Sequence[Any]:
    """Take a parameter that has one entry per item out of `params`; empty where it is absent."""
    if key not in params:
        return ()
    entries: Sequence[Any] = params.pop(key)
    if len(entries) != items:
        raise RunError(f"{key} has {len(entries)} entries for {items} items")
    return entries


def _declared_shape(infos: Any) -> tuple[int, ...] | None:
    return None if infos is None else tuple(infos[0][0])


def _tensors(
    result: StreamResult, operator: Operator | ModelOperator, shape: tuple[int, ...] | None
) -> list[list[Tensor]]:
    if isinstance(operator, ModelOperator):
        return [[Tensor(array) for array in arrays] for arrays in result.outputs]
    return [
        [Tensor(array.reshape(shape) if shape is not None else array) for array in arrays]
        for arrays in result.inputs
    ]
