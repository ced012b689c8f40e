"""The asynchronous contract of vaststreamx streams that scripts rely on."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vacc_deploy import vsx
from vacc_deploy.errors import RunError

Build = Callable[..., Any]
Picture = Callable[[int], vsx.Image]


def value_of(result: list[list[vsx.Tensor]]) -> float:
    return float(vsx.as_numpy(result[0][0]).flat[0])


def finish(stream: vsx.Stream) -> None:
    stream.close_input()
    stream.wait_until_done()


def test_outputs_are_lists_of_items_of_float16_tensors(build_stream: Build, make_picture: Picture) -> None:
    bench = build_stream()
    result = bench.stream.run_sync([make_picture(3), make_picture(7)])
    assert [len(item) for item in result] == [2, 2]
    arrays = [[vsx.as_numpy(tensor) for tensor in item] for item in result]
    assert arrays[0][0].shape == (1, 3, 4, 6)
    assert arrays[0][0].dtype == np.float16
    assert [item[0].flat[0] for item in arrays] == [4, 8]
    assert [item[1].tolist() for item in arrays] == [[[3]], [[7]]]
    finish(bench.stream)


KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "by operator": ("", lambda bench: bench.model_op),
    "by name": ("model_res", lambda bench: "model_res"),
    "by operator though named": ("model_res", lambda bench: bench.model_op),
}


@pytest.mark.parametrize(("op_name", "key"), KEYS.values(), ids=KEYS)
def test_every_output_is_a_queue_of_its_own_in_input_order(
    build_stream: Build, make_picture: Picture, op_name: str, key: Callable[[Any], Any]
) -> None:
    bench = build_stream(op_name=op_name)
    for value in range(12):
        bench.stream.run_async([make_picture(value)])
    finish(bench.stream)
    assert [value_of(bench.stream.get_operator_output(key(bench))) for _ in range(12)] == list(range(1, 13))
    tensors = [bench.stream.get_operator_output("preprocess_res")[0][0] for _ in range(12)]
    assert [float(vsx.as_numpy(tensor).flat[0]) for tensor in tensors] == list(range(12))
    assert {tensor.shape for tensor in tensors} == {(3, 4, 6)}


def test_reading_after_the_last_result_raises_value_error(build_stream: Build, make_picture: Picture) -> None:
    bench = build_stream()
    bench.stream.run_async([make_picture(1)])
    finish(bench.stream)
    bench.stream.get_operator_output(bench.model_op)
    with pytest.raises(ValueError, match="closed"):
        bench.stream.get_operator_output(bench.model_op)
    bench.stream.get_operator_output("preprocess_res")
    with pytest.raises(ValueError, match="closed"):
        bench.stream.get_operator_output("preprocess_res")


def test_closing_wakes_a_waiting_reader_with_value_error(build_stream: Build) -> None:
    bench = build_stream()
    seen: list[str] = []

    def read() -> None:
        try:
            bench.stream.get_operator_output(bench.model_op)
        except ValueError as error:
            seen.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    finish(bench.stream)
    reader.join(10)
    assert len(seen) == 1


def test_wait_until_done_does_not_wait_for_readers(build_stream: Build, make_picture: Picture) -> None:
    bench = build_stream()
    for value in range(20):
        bench.stream.run_async([make_picture(value)])
    finish(bench.stream)
    assert len(bench.network.seen) == 20


def test_run_sync_works_beside_a_waiting_reader_and_enters_no_queue(
    build_stream: Build, make_picture: Picture
) -> None:
    bench = build_stream()
    read: list[float] = []

    def consume() -> None:
        try:
            while True:
                read.append(value_of(bench.stream.get_operator_output(bench.model_op)))
        except ValueError:
            return

    reader = threading.Thread(target=consume)
    reader.start()
    assert value_of(bench.stream.run_sync([make_picture(40)])) == 41
    bench.stream.run_async([make_picture(2)])
    finish(bench.stream)
    reader.join(10)
    assert read == [3]


def test_an_error_is_raised_where_its_result_would_be_read(
    build_stream: Build, make_picture: Picture
) -> None:
    bench = build_stream()
    for value in (12, 13, 14):
        bench.stream.run_async([make_picture(value)])
    finish(bench.stream)
    assert value_of(bench.stream.get_operator_output(bench.model_op)) == 13
    with pytest.raises(RunError, match="picture 13 is broken"):
        bench.stream.get_operator_output(bench.model_op)
    assert value_of(bench.stream.get_operator_output(bench.model_op)) == 15


def test_submitting_everything_before_reading_does_not_hang(
    build_stream: Build, make_picture: Picture
) -> None:
    bench = build_stream()
    for value in range(200):
        bench.stream.run_async([make_picture(value % 10)])
    bench.stream.close_input()
    assert [value_of(bench.stream.get_operator_output(bench.model_op)) for _ in range(200)] == [
        value % 10 + 1 for value in range(200)
    ]


def test_a_slow_stream_holds_the_producer_back(build_stream: Build, make_picture: Picture) -> None:
    bench = build_stream(delay_s=0.05)
    start = time.perf_counter()
    for value in range(9):  # one is computed, four wait
        bench.stream.run_async([make_picture(value)])
    assert time.perf_counter() - start > 0.1
    finish(bench.stream)


def test_a_slow_reader_holds_the_producer_back(build_stream: Build, make_picture: Picture) -> None:
    bench = build_stream()
    go = threading.Event()
    read = threading.Event()

    def consume() -> None:
        try:
            while True:
                bench.stream.get_operator_output(bench.model_op)
                read.set()
                go.wait(10)
        except ValueError:
            return

    reader = threading.Thread(target=consume)
    reader.start()
    bench.stream.run_async([make_picture(0)])
    assert read.wait(10)
    submitted: list[int] = []

    def produce() -> None:
        for value in range(90):
            bench.stream.run_async([make_picture(value % 10)])
            submitted.append(value)

    producer = threading.Thread(target=produce)
    producer.start()
    producer.join(0.5)
    assert 60 <= len(submitted) < 80  # the unread limit of 64, plus what was on its way
    go.set()
    producer.join(10)
    assert len(submitted) == 90
    finish(bench.stream)
    reader.join(10)


def test_attributes_act_on_later_requests_only(build_stream: Build, make_picture: Picture) -> None:
    bench = build_stream(delay_s=0.02)
    bgr = np.stack([np.full((4, 6), value, np.uint8) for value in (1, 2, 3)])
    image = vsx.create_image(bgr, vsx.ImageFormat.RGB_PLANAR, 6, 4, 0)
    bench.stream.run_async([image])
    bench.fusion_op.set_attribute({vsx.AttrKey.COLOR_CVT_CODE: vsx.ColorCvtCode.BGR2RGB})
    bench.stream.run_async([image])
    assert [value_of(bench.stream.get_operator_output(bench.model_op)) for _ in range(2)] == [2, 4]
    finish(bench.stream)


def test_tensors_go_past_the_vdsp_operator(build_stream: Build) -> None:
    bench = build_stream()
    tensor = vsx.from_numpy(np.full((1, 3, 4, 6), 5, np.float16), 0)
    assert value_of(bench.stream.run_sync([[tensor]])) == 6
    assert value_of(bench.stream.run_sync([tensor])) == 6
    finish(bench.stream)


def _register_late(bench: Any) -> None:
    bench.stream.register_operator_output(bench.model_op)


WRONG_USES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "unregistered output": (
        lambda bench: bench.stream.get_operator_output("nothing"),
        "'nothing' is not registered",
    ),
    "registered after build": (_register_late, r"before build\(\)"),
    "wrong tensor shape": (
        lambda bench: bench.stream.run_sync([vsx.from_numpy(np.zeros((1, 3, 5, 6), np.float16))]),
        r"\[1, 3, 4, 6\]",
    ),
    "a picture outside of a list": (
        lambda bench: bench.stream.run_sync(picture_of(bench)),
        "a request is a list of items, not Image",
    ),
    "what cv2.imread returns for no picture": (
        lambda bench: bench.stream.run_async([None]),
        "a tensor or a list of tensors, not NoneType",
    ),
    "a file's name": (lambda bench: bench.stream.run_sync(["a.png"]), "not str"),
    "two pictures as one item": (
        lambda bench: bench.stream.run_sync([[picture_of(bench)] * 2]),
        "not list of Image, Image",
    ),
    "an item's outputs as one tensor": (
        lambda bench: vsx.as_numpy(bench.stream.run_sync([picture_of(bench)])[0]),  # type: ignore[arg-type]
        "an image or a tensor, not list",
    ),
    "unknown parameter": (lambda bench: bench.stream.run_sync([picture_of(bench)], {"speed": 1}), "'speed'"),
    "other dynamic shape": (
        lambda bench: bench.stream.run_sync(
            [picture_of(bench)], {"dynamic_model_input_shapes": [[[1, 3, 64, 64]]]}
        ),
        "static input shape",
    ),
}


def picture_of(bench: Any) -> vsx.Image:
    return vsx.create_image(np.zeros((3, 4, 6), np.uint8), vsx.ImageFormat.RGB_PLANAR, 6, 4, 0)


@pytest.mark.parametrize(("use", "message"), WRONG_USES.values(), ids=WRONG_USES)
def test_wrong_use_is_refused_with_a_reason(
    build_stream: Build, use: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        use(build_stream())


def test_using_a_stream_before_build_says_so(vdsp_json: Any) -> None:
    with pytest.raises(RunError, match="not built yet"):
        vsx.Stream(vsx.Graph()).run_async([])


def produce_and_consume(bench: Any, total: int, producers: int = 4) -> list[tuple[int, float]]:
    """Several threads submit pictures 0…9 in turn; returns (submitted, received) values in reading order."""
    order: list[int] = []
    lock = threading.Lock()
    pixels = [np.full((3, 4, 6), value, np.uint8) for value in range(10)]

    def produce(index: int) -> None:
        for number in range(index, total, producers):
            image = vsx.create_image(pixels[number % 10], vsx.ImageFormat.RGB_PLANAR, 6, 4, 0)
            with lock:  # so that the test knows the order
                bench.stream.run_async([image])
                order.append(number % 10)

    received: list[float] = []

    def consume() -> None:
        try:
            while True:
                received.append(value_of(bench.stream.get_operator_output(bench.model_op)))
                bench.stream.get_operator_output("preprocess_res")
        except ValueError:
            return

    threads = [threading.Thread(target=produce, args=(index,)) for index in range(producers)]
    reader = threading.Thread(target=consume)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join(300)
    finish(bench.stream)
    reader.join(60)
    return list(zip(order, received, strict=True))


def test_four_producers_lose_and_mix_up_nothing(build_stream: Build) -> None:
    pairs = produce_and_consume(build_stream(), 400)
    assert len(pairs) == 400
    assert all(received == submitted + 1 for submitted, received in pairs)


@pytest.mark.slow
def test_ten_thousand_pictures_from_four_producers_in_flat_memory(build_stream: Build) -> None:
    bench = build_stream()
    tracemalloc.start()
    try:
        pairs = produce_and_consume(bench, 10_000)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(pairs) == 10_000
    assert all(received == submitted + 1 for submitted, received in pairs)
    assert peak_bytes < 4 << 20  # 10 000 results of 1 kB kept would be more


RUN_TIME_PARAMETERS: dict[str, tuple[str, str, tuple[int, ...], np.ndarray]] = {
    "letterbox": (
        "FUSION_OP_RGB_LETTERBOX_CVTCOLOR_NORM_TENSOR_EXT",
        "rgb_letterbox_ext",
        (3, 4, 0, 0, 1, 2),
        np.array([127, 9, 9, 9, 127, 127]),
    ),
    "crop and resize": (
        "FUSION_OP_RGB_RESIZE_CVTCOLOR_CROP_NORM_TENSOR",
        "crop_resize_ext",
        (5, 2, 12, 8),
        np.array([9, 9, 9, 9, 9, 9]),
    ),
}


@pytest.mark.parametrize(("op", "key", "value", "row"), RUN_TIME_PARAMETERS.values(), ids=RUN_TIME_PARAMETERS)
def test_run_time_parameters_are_taken_per_item(
    vdsp_json: Any, build_stream: Build, make_picture: Picture, op: str, key: str, value: Any, row: np.ndarray
) -> None:
    config = {"NormaType": "EQUAL", "Padding": [127, 127, 127], "ResizeWidth": 6, "ResizeHeight": 4}
    vdsp_json.write_text(json.dumps({"OpType": op, "OpConfig": {**config, "CropX": 0, "CropY": 0}}))
    stream = build_stream().stream
    results = stream.run_sync([make_picture(8), make_picture(9)], {key: [value, value]})
    assert (vsx.as_numpy(results[0][0])[0, 0, 0] == np.where(row == 9, 9, 128)).all()
    with pytest.raises(RunError, match=f"{key} has 1 entries for 2 items"):
        stream.run_sync([make_picture(8), make_picture(9)], {key: [value]})
    finish(stream)
