"""Operators with attributes, by themselves and from files; custom operators; devices; media engines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vacc_deploy import vsx
from vacc_deploy.errors import ConfigError, RunError
from vacc_deploy.vsx import custom_operator
from vacc_deploy.vsx.layout_884 import tile, untile

attr = vsx.AttrKey
BGR = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)


def image() -> vsx.Image:
    return vsx.create_image(BGR, vsx.ImageFormat.BGR_INTERLEAVE, 30, 20, 0)


def test_attributes_of_a_file_are_its_own_keys_as_numbers(vdsp_json: Path) -> None:
    op = vsx.Operator.load_ops_from_json_file(str(vdsp_json))[0]
    assert op.op_type >= 100
    builtin = op.cast_to_buildin_operator()
    assert "IIMAGE_FORMAT" in list(builtin.attributes.keys())
    assert "RESIZE_WIDTH" not in builtin.attributes
    assert builtin.get_attribute(attr.IIMAGE_FORMAT) == 5000
    assert builtin.get_attribute(attr.IIMAGE_WIDTH) == 99
    with pytest.raises(ConfigError, match="no attribute RESIZE_WIDTH"):
        builtin.get_attribute(attr.RESIZE_WIDTH)
    builtin.set_attribute({attr.RESIZE_WIDTH: 77})
    assert op.get_attribute(attr.RESIZE_WIDTH) == 77


def test_an_operator_without_image_format_does_not_claim_one(tmp_path: Path) -> None:
    path = tmp_path / "yuv.json"
    path.write_text(json.dumps({"OpType": "FUSION_OP_YUV_NV12_RESIZE_2RGB_NORM_TENSOR", "OpConfig": {}}))
    assert "IIMAGE_FORMAT" not in vsx.Operator.load_ops_from_json_file(path)[0].attributes


def test_a_doubtful_file_is_warned_of(tmp_path: Path) -> None:
    config = {"NormaTyp": "DIV255"}
    (tmp_path / "a.json").write_text(
        json.dumps({"OpType": "FUSION_OP_RGB_CVTCOLOR_NORM_TENSOR", "OpConfig": config})
    )
    with pytest.warns(UserWarning, match="a.json") as caught:
        vsx.Operator.load_ops_from_json_file(str(tmp_path / "a.json"))
    said = " ".join(str(warning.message) for warning in caught)
    assert "did you mean 'NormaType'" in said
    assert "pixels stay 0…255" in said
    assert {warning.filename for warning in caught} == {__file__}


def test_a_fusion_operator_runs_by_itself(vdsp_json: Path) -> None:
    op = vsx.Operator.load_ops_from_json_file(str(vdsp_json))[0]
    (tensor,) = op.execute(tensors=[image()], output_info=[([1, 3, 8, 16], vsx.TypeFlag.FLOAT16)])
    expected = cv2.resize(BGR, (16, 8)).transpose(2, 0, 1)
    assert np.array_equal(vsx.as_numpy(tensor)[0], expected.astype(np.float16))
    (tiles,) = op.execute(tensors=[image()], output_info=[([1, 2, 1, 1, 256], vsx.TypeFlag.FLOAT16)])
    assert np.array_equal(untile(vsx.as_numpy(tiles), (1, 3, 8, 16)), vsx.as_numpy(tensor))


def test_a_fusion_operator_fills_an_image_of_twice_the_width(vdsp_json: Path) -> None:
    op = vsx.Operator.load_ops_from_json_file(str(vdsp_json))[0]
    (made,) = op.execute(images=[image()], output_info=[(vsx.ImageFormat.RGB_PLANAR, 2 * 16, 8)])
    halves = vsx.as_numpy(made).view(np.float16)
    assert np.array_equal(halves, cv2.resize(BGR, (16, 8)).transpose(2, 0, 1).astype(np.float16))


SINGLE_OPS: dict[str, tuple[vsx.OpType, dict[vsx.AttrKey, Any], list[Any], list[tuple[int, ...]]]] = {
    "resize": (
        vsx.OpType.SINGLE_OP_RESIZE,
        {attr.RESIZE_TYPE: vsx.ImageResizeType.BILINEAR_CV, attr.IIMAGE_FORMAT: vsx.ImageType.BGR888},
        [(vsx.ImageFormat.BGR_INTERLEAVE, 12, 10)],
        [(10, 12, 3)],
    ),
    "crop": (
        vsx.OpType.SINGLE_OP_CROP,
        {attr.CROP_X: 5, attr.CROP_Y: 2, attr.CROP_WIDTH: 9, attr.CROP_HEIGHT: 7},
        [(vsx.ImageFormat.BGR_INTERLEAVE, 9, 7)],
        [(7, 9, 3)],
    ),
    "batch crop resize": (
        vsx.OpType.SINGLE_OP_BATCH_CROP_RESIZE,
        {
            attr.CROP_NUM: 2,
            attr.CROP_X: [0, 4],
            attr.CROP_Y: [1, 5],
            attr.CROP_WIDTH: [8, 9],
            attr.CROP_HEIGHT: [8, 10],
            attr.OIMAGE_WIDTH: 16,
            attr.OIMAGE_HEIGHT: 14,
        },
        [(vsx.ImageFormat.BGR_INTERLEAVE, 16, 14)] * 2,
        [(14, 16, 3)] * 2,
    ),
    "scale to two sizes": (
        vsx.OpType.SINGLE_OP_SCALE,
        {attr.OIMAGE_CNT: 2, attr.OIMAGE_WIDTH: [8, 4], attr.OIMAGE_HEIGHT: [6, 2]},
        [(vsx.ImageFormat.BGR_INTERLEAVE, 8, 6), (vsx.ImageFormat.BGR_INTERLEAVE, 4, 2)],
        [(6, 8, 3), (2, 4, 3)],
    ),
    "frame": (
        vsx.OpType.SINGLE_OP_COPY_MAKE_BORDER,
        {
            attr.OIMAGE_WIDTH: 60,
            attr.OIMAGE_HEIGHT: 60,
            attr.EDGE_TOP: 10,
            attr.EDGE_BOTTOM: 10,
            attr.EDGE_LEFT: 0,
            attr.EDGE_RIGHT: 0,
            attr.PADDING: [114, 114, 114],
        },
        [(vsx.ImageFormat.BGR_INTERLEAVE, 60, 60)],
        [(60, 60, 3)],
    ),
    "colour": (
        vsx.OpType.SINGLE_OP_CVT_COLOR,
        {
            attr.COLOR_CVT_CODE: vsx.ColorCvtCode.BGR2RGB_INTERLEAVE2PLANAR,
            attr.COLOR_SPACE: vsx.ImageColorSpace.COLOR_SPACE_BT601,
        },
        [(vsx.ImageFormat.RGB_PLANAR, 30, 20)],
        [(3, 20, 30)],
    ),
    "flip": (
        vsx.OpType.SINGLE_OP_FLIP,
        {attr.DIRECTION: vsx.ImageFlipType.FLIP_TYPE_X_AXIS},
        [(vsx.ImageFormat.BGR_INTERLEAVE, 30, 20)],
        [(20, 30, 3)],
    ),
    "warp": (
        vsx.OpType.SINGLE_OP_WARP_AFFINE,
        {
            attr.FLAGS: vsx.ImageWarpAffineMode.WARP_AFFINE_MODE_BILINEAR,
            attr.BORDER_VALUE: [114, 114, 114],
            attr.BORDER_MODE: vsx.ImagePaddingType.PADDING_TYPE_CONSTANT,
            attr.M: [0.8, -0.6, 5.0, 0.6, 0.8, -4.0],
        },
        [(vsx.ImageFormat.BGR_INTERLEAVE, 30, 20)],
        [(20, 30, 3)],
    ),
}


@pytest.mark.parametrize(("kind", "attributes", "info", "shapes"), SINGLE_OPS.values(), ids=SINGLE_OPS)
def test_single_operators_make_the_images_asked_for(
    kind: vsx.OpType, attributes: dict[vsx.AttrKey, Any], info: list[Any], shapes: list[tuple[int, ...]]
) -> None:
    op = vsx.BuildInOperator(kind)
    assert op.op_type < 100
    op.set_attribute(attributes)
    made = op.execute([image()], info)
    assert [vsx.as_numpy(one).shape for one in made] == shapes
    assert [one.format for one in made] == [form for form, _, _ in info]
    for key, value in attributes.items():
        assert op.get_attribute(key) == (value[0] if isinstance(value, list) else value)


LAYOUT_SHAPES = {"aligned": (1, 4, 8, 16), "padded": (2, 3, 10, 17), "deep": (1, 9, 8, 8)}


@pytest.mark.parametrize("shape", LAYOUT_SHAPES.values(), ids=LAYOUT_SHAPES)
def test_tiles_hold_every_value_where_the_layout_says(shape: tuple[int, int, int, int]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    tiles = tile(array)
    n, c, h, w = shape
    assert tiles.shape == (n, -(-w // 8), -(-h // 8), -(-c // 4), 256)
    for index in [(0, 0, 0, 0), (n - 1, c - 1, h - 1, w - 1), (0, c // 2, h // 2, w // 2)]:
        i, k, y, x = index
        assert tiles[i, x // 8, y // 8, k // 4, (k % 4) * 64 + (y % 8) * 8 + x % 8] == array[index]
    assert np.array_equal(untile(tiles, shape), array)


@pytest.fixture
def doubler() -> Iterator[str]:
    @vsx.register_custom_operator("double_it")
    def double_it(inputs: list[np.ndarray], config: bytes, output_info: Any) -> list[np.ndarray]:
        return [inputs[0] * 2 + len(config)]

    yield "double_it"
    del custom_operator._functions["double_it"]


def test_a_custom_operator_registered_in_python_runs(doubler: str) -> None:
    op = vsx.CustomOperator(op_name=doubler, elf_file_path="/opt/vastai/elf/double")
    op.set_callback_info([(1, 2)], [(1, 2)])
    tensor = vsx.from_numpy(np.array([[1, 2]], np.float16), 0)
    (made,) = op.run_sync(tensors=[tensor], config=b"xyz", output_info=[([2], vsx.TypeFlag.UINT16)])
    assert vsx.as_numpy(made).tolist() == [5, 7]
    op.set_config(config_bytes=b"abcdef", config_size=1)
    (made,) = op.execute(tensors=[tensor], output_info=[((1, 2), vsx.TypeFlag.FLOAT16)])
    assert vsx.as_numpy(made).tolist() == [[3, 5]]
    with pytest.raises(RunError, match="1 outputs, the script expects 2"):
        op.run_sync([tensor], b"", [([2], vsx.TypeFlag.UINT16)] * 2)
    with pytest.raises(RunError, match=r"shape \[1, 2\], the script expects \[3\]"):
        op.run_sync([tensor], b"", [([3], vsx.TypeFlag.UINT16)])
    with pytest.raises(ConfigError, match="registered already"):
        vsx.register_custom_operator(doubler)(lambda inputs, config, info: [])


def test_an_unknown_custom_operator_names_itself_and_the_way_out() -> None:
    with pytest.raises(vsx.UnsupportedError, match="find_contours") as caught:
        vsx.CustomOperator(op_name="find_contours", elf_file_path="/opt/vastai/elf/find_contours")
    assert "register_custom_operator('find_contours')" in str(caught.value)


MEDIA = {
    kind.__name__: kind
    for kind in (
        vsx.VideoCapture, vsx.VideoDecoder, vsx.VideoEncoder, vsx.VideoWriter, vsx.JpegDecoder,
        vsx.JpegEncoder, vsx.MediaSource,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", MEDIA)
def test_media_engines_say_that_they_are_missing(name: str) -> None:
    with pytest.raises(vsx.UnsupportedError, match=name) as caught:
        MEDIA[name]("rtsp://camera", 0)
    assert "cv2." in str(caught.value)


def test_telemetry_is_of_this_computer_and_says_so() -> None:
    assert vsx.set_device(0) == 0
    (card,) = vsx.get_all_cards()
    assert vsx.get_all_cards_count() == 1
    assert "emulation" in card.card_type
    die = vsx.Die(card.dies[0].device_id)
    memory = die.memory
    assert 0 < memory["used"] < memory["total"]
    assert memory["free"] + memory["used"] == memory["total"]
    assert 0 <= memory["usage_rate"] <= 100
    assert len(die.power["power"]) == 4
    assert np.isnan(die.power["power"]).all()
    assert len(die.temperature["temperature"]) >= 1
    assert set(die.utilization) == {"ai", "vdsp", "vdmcu", "vemcu"}


def test_any_device_is_this_cpu_and_a_negative_one_is_none() -> None:
    with pytest.warns(UserWarning, match="same CPU"):
        assert vsx.set_device(3) == 0
    assert vsx.get_device() == 3
    assert vsx.set_device(-1) != 0
    vsx.set_device(0)


GRAPH_ERRORS: dict[str, tuple[list[Any], str]] = {
    "no network": ([vsx.Operator(vsx.OpType.BERT_EMBEDDING_OP)], "followed by one model operator"),
    "nothing": ([], "followed by one model operator"),
}


@pytest.mark.parametrize(("operators", "message"), GRAPH_ERRORS.values(), ids=GRAPH_ERRORS)
def test_a_graph_ends_with_a_network(operators: list[Any], message: str) -> None:
    graph = vsx.Graph(True)
    graph.add_operators(*operators)
    with pytest.raises(RunError, match=message):
        vsx.Stream(graph, vsx.StreamBalanceMode.RUN).build()


def test_a_graph_refuses_other_things_by_name() -> None:
    graph = vsx.Graph(vsx.GraphOutputType.GRAPH_OUTPUT_TYPE_NCHW_HOST, [0, 0, 1])
    with pytest.raises(vsx.UnsupportedError, match="cannot hold a str"):
        graph.add_operators("op")  # type: ignore[arg-type]
