from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from vacc_deploy.errors import RunError
from vacc_deploy.runtime.stream import RunStream


@dataclass(frozen=True)
class Spec:
    name: str = "x"
    shape: tuple[int, ...] = (1, 1, 2, 2)
    dtype: str = "float16"


@dataclass
class PlusOne:
    """A network that adds one, counts who runs it at a time, and can be slow or fail."""

    inputs: Sequence[Spec] = (Spec(),)
    outputs: Sequence[Spec] = (Spec(),)
    delay: Callable[[float], float] = lambda value: 0.0
    fail_on: float | None = None
    running: list[int] = field(default_factory=list)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        value = float(arrays[0].flat[0])
        self.running.append(threading.get_ident())
        time.sleep(self.delay(value))
        if value == self.fail_on:
            raise RunError(f"picture {value:g} is broken")
        return [arrays[0].astype(np.float32) + 1]


class Scale:
    """A stand-in vdsp operator: picture (any object holding a number) to tensor."""

    def run(self, image: Any, *, input_shape: tuple[int, ...], **overrides: Any) -> np.ndarray:
        return np.full(input_shape[1:], image["value"] * overrides.get("scale", 1), np.float16)


def tensor(value: float) -> np.ndarray:
    return np.full((1, 1, 2, 2), value, np.float16)


INSTANCES = {"one instance": 1, "three instances": 3}


@pytest.mark.parametrize("instances", INSTANCES.values(), ids=INSTANCES)
def test_results_come_in_the_order_of_the_requests(instances: int) -> None:
    networks = [PlusOne(delay=lambda value: 0.002 * (value % 3)) for _ in range(instances)]
    with RunStream(networks) as stream:
        results = list(stream.run_all([tensor(value)] for value in range(30)))
    assert [float(result.outputs[0][0].flat[0]) for result in results] == [value + 1 for value in range(30)]


def test_outputs_are_halves_with_a_batch_dimension() -> None:
    with RunStream(PlusOne()) as stream:
        result = stream.run([np.zeros((1, 2, 2), np.float32)])
    assert result.outputs[0][0].dtype == np.float16
    assert result.outputs[0][0].shape == result.inputs[0][0].shape == (1, 1, 2, 2)


def test_a_batch_returns_one_list_per_item() -> None:
    with RunStream(PlusOne(), Scale()) as stream:
        future = stream.submit([{"value": 1}, tensor(5), {"value": 2}], [{}, {}, {"scale": 4}])
    assert [outputs[0].flat[0] for outputs in future.result().outputs] == [2, 6, 9]


def test_an_error_reaches_its_own_request_only() -> None:
    with RunStream(PlusOne(fail_on=1)) as stream:
        futures = [stream.submit([tensor(value)]) for value in range(3)]
        with pytest.raises(RunError, match="picture 1 is broken"):
            futures[1].result()
        assert [float(futures[i].result().outputs[0][0].flat[0]) for i in (0, 2)] == [1, 3]


def test_a_full_queue_makes_the_producer_wait() -> None:
    gate = threading.Event()
    network = PlusOne(delay=lambda value: float(not gate.wait(10)))
    submitted: list[int] = []
    with RunStream(network, queue_size=2) as stream:

        def produce() -> None:
            for value in range(5):
                stream.submit([tensor(value)])
                submitted.append(value)

        producer = threading.Thread(target=produce)
        producer.start()
        for _ in range(200):
            if len(submitted) == 3:
                break
            time.sleep(0.005)
        producer.join(0.05)
        assert submitted == [0, 1, 2]  # one is computed, two wait
        gate.set()
        producer.join(10)
    assert submitted == [0, 1, 2, 3, 4]


def test_closing_finishes_what_was_submitted_and_refuses_more() -> None:
    stream = RunStream(PlusOne(delay=lambda value: 0.01), queue_size=4)
    futures = [stream.submit([tensor(value)]) for value in range(4)]
    stream.close()
    stream.close()
    assert all(future.done() for future in futures)
    with pytest.raises(RunError, match="closed"):
        stream.submit([tensor(0)])


def test_closing_wakes_a_waiting_producer() -> None:
    gate = threading.Event()
    stream = RunStream(PlusOne(delay=lambda value: float(not gate.wait(10))))
    refused: list[str] = []

    def produce() -> None:
        try:
            for value in range(9):
                stream.submit([tensor(value)])
        except RunError as error:
            refused.append(error.what)

    producer = threading.Thread(target=produce)
    producer.start()
    time.sleep(0.02)
    stream.close_input()
    producer.join(10)
    gate.set()
    stream.close()
    assert refused == ["the stream is closed and takes no more input"]


def test_a_forgotten_stream_ends_its_threads() -> None:
    before = set(threading.enumerate())
    stream = RunStream([PlusOne(), PlusOne()])
    stream.run([tensor(1)])
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    del stream
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_a_stream_of_another_process_says_so_instead_of_waiting_for_ever() -> None:
    with RunStream(PlusOne()) as stream:
        child = os.fork()
        if child == 0:
            with pytest.raises(RunError, match="forked"):
                stream.submit([tensor(1)])
            with pytest.raises(RunError, match="forked"):
                stream.drain()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert stream.run([tensor(1)]).outputs[0][0].item(0) == 2


def test_each_instance_keeps_to_its_own_thread() -> None:
    networks = [PlusOne(delay=lambda value: 0.001) for _ in range(3)]
    with RunStream(networks) as stream:
        list(stream.run_all([tensor(value)] for value in range(30)))
    threads = [set(network.running) for network in networks]
    assert all(len(ids) == 1 for ids in threads)
    assert len(set.union(*threads)) == 3


def test_many_producers_lose_nothing() -> None:
    total, producers = 400, 4
    answers: dict[int, float] = {}
    with RunStream([PlusOne(), PlusOne()], queue_size=2) as stream:

        def produce(first: int) -> None:
            for value in range(first, total, producers):
                answers[value] = float(stream.submit([tensor(value)]).result(10).outputs[0][0].flat[0])

        threads = [threading.Thread(target=produce, args=(first,)) for first in range(producers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert answers == {value: value + 1 for value in range(total)}


TOKENS = tuple(Spec(name, (1, 4), "int64") for name in ("ids", "mask", "types"))


def test_surplus_token_inputs_are_dropped() -> None:
    with RunStream(PlusOne(inputs=TOKENS)) as stream:
        result = stream.run([[np.full((1, 4), index, np.int32) for index in range(6)]])
    assert [array.flat[0] for array in result.inputs[0]] == [0, 1, 2]
    assert {array.dtype for array in result.inputs[0]} == {np.dtype(np.int64)}


BAD_REQUESTS: dict[str, tuple[PlusOne, list[Any], str]] = {
    "no item": (PlusOne(), [], "at least one item"),
    "wrong shape": (PlusOne(), [np.zeros((1, 1, 3, 2), np.float16)], r"\[1, 1, 2, 2\], got \[1, 1, 3, 2\]"),
    "too many inputs": (PlusOne(), [[tensor(0), tensor(0)]], "1 inputs, 2 were given"),
    "too few tokens": (PlusOne(inputs=TOKENS), [[np.zeros((1, 4), np.int32)]], "3 inputs, 1 were given"),
}


@pytest.mark.parametrize(("network", "items", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_request_that_does_not_fit_is_refused_at_once(
    network: PlusOne, items: list[Any], message: str
) -> None:
    with RunStream(network) as stream, pytest.raises(RunError, match=message):
        stream.submit(items)


def test_a_picture_without_a_vdsp_operator_names_what_is_missing() -> None:
    with RunStream(PlusOne()) as stream, pytest.raises(RunError, match="no vdsp operator"):
        stream.run([{"value": 1}])
