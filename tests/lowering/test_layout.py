"""Conversions between forms stand once; halos are the union of what readers reach."""

from __future__ import annotations

from tests.lowering.selected import conv, selected, small
from vacc_deploy.lowering.graph import Form
from vacc_deploy.lowering.layout import assign_layouts
from vacc_deploy.lowering.plane import Halo


def layout_of(write, *, int8=True, **options):
    return assign_layouts(selected(small(write, int8=int8, **options)))


def ops(layout):
    return [step.op for step in layout.steps]


def test_one_conversion_for_many_readers():
    def write(b, x):
        y = b.node("Softmax", [x], axis=1)  # plain
        return b.node("Add", [conv(b, y), conv(b, y, kernel=1)])

    assert ops(layout_of(write, int8=False)).count("pack") == 1


def test_nothing_is_converted_between_planes():
    def write(b, x):
        return conv(b, b.node("Relu", [conv(b, x)]), 4)

    assert ops(layout_of(write)) == ["quantize", "conv2d", "conv2d", "unpack"]


def test_codes_that_leave_are_dequantized_once():
    def write(b, x):
        y = b.node("Softmax", [conv(b, conv(b, x))], axis=1)
        return conv(b, y, 4), b.node("Relu", [y])

    steps = ops(layout_of(write))
    assert steps.count("Softmax") == 1
    assert steps.count("quantize") == 2


def test_the_halo_is_the_union_of_the_readers():
    def write(b, x):
        wide = conv(b, x, kernel=1, pads=[0] * 4)
        tall = b.constant(b.random.normal(size=(4, 8, 5, 1)).astype("float32"))
        flat = b.constant(b.random.normal(size=(4, 8, 1, 7)).astype("float32"))
        return (
            b.node("Conv", [wide, tall], kernel_shape=[5, 1], pads=[2, 0, 2, 0]),
            b.node("Conv", [wide, flat], kernel_shape=[1, 7], pads=[0, 3, 0, 3]),
        )

    layout = layout_of(write)
    halos = {name: plane.halo for (name, form), plane in layout.planes.items() if form is Form.QUANTIZED}
    assert halos == {"input0_quantized": Halo(), "conv0.y_quantized": Halo(2, 3, 2, 3)}


def test_a_stride_that_stops_early_needs_no_halo_there():
    def write(b, x):
        return conv(b, conv(b, x), 4, kernel=2, pads=[0] * 4, strides=[2, 2])

    layout = layout_of(write)
    assert layout.planes["conv0.y_quantized", Form.QUANTIZED].halo == Halo()


def test_a_plane_holds_its_zero_point_outside():
    layout = layout_of(lambda b, x: conv(b, conv(b, x), 4))
    assert layout.planes["conv0.y_quantized", Form.QUANTIZED].fill == 128  # symmetric: 0, stored + 128


def test_everything_is_made_before_it_is_read():
    def write(b, x):
        y = b.node("Softmax", [conv(b, x)], axis=1)
        return conv(b, b.node("Concat", [y, x], axis=1), 4)

    layout = layout_of(write)
    made = {("input0", Form.PLAIN)}
    for step in layout.steps:
        for operand in step.inputs:
            assert (operand.value.name, operand.form) in made
        outputs = getattr(step, "outputs", None)
        if outputs is not None:
            made |= {(value.name, Form.PLAIN) for value in outputs}
        else:
            made.add((step.output.value.name, step.output.form))
