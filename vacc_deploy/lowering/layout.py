"""Assign layouts once for the whole graph: insert conversions where forms differ, and size every halo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vacc_deploy.lowering.convert import ConvertStep
from vacc_deploy.lowering.graph import Form, GenericStep, Operand, Place, Step, StepGraph, Value
from vacc_deploy.lowering.plane import Halo, Plane


@dataclass(slots=True)
class Layout:
    """The steps with conversions between them, and the plane of every value that is one."""

    steps: list[Step | GenericStep]
    planes: dict[Place, Plane] = field(default_factory=dict)

    def of(self, operand: Operand) -> Plane | Value:
        """How an operand lies in memory: its plane, or the value itself when it is plain."""
        return operand.value if operand.form is Form.PLAIN else self.planes[operand.place]


def assign_layouts(graph: StepGraph) -> Layout:
    """Give every value its buffers.

    A value keeps the form in which it was made; a step that wants another form gets a conversion, made
    once per form however many steps want it. A plane's halo is the union of what its readers reach.

    ::

        quantize ──plane──► conv2d ──plane──► Softmax        before
        quantize ──plane──► conv2d ──plane──► dequantize ──plain──► Softmax ──plain──►     after
    """
    steps = _with_conversions(graph)
    reaches: dict[Place, Halo] = {}
    for step in steps:
        for operand in step.inputs:
            reaches[operand.place] = reaches.get(operand.place, Halo()).union(operand.reach)
    layout = Layout(steps)
    for step in steps:
        made = [] if isinstance(step, GenericStep) else [step.output]
        for operand in (*step.inputs, *made):
            if operand.form is not Form.PLAIN:
                halo = reaches.get(operand.place, Halo())
                layout.planes[operand.place] = operand.value.plane(operand.form, halo)
    return layout


def _with_conversions(graph: StepGraph) -> list[Step | GenericStep]:
    """The steps, each behind the conversions that make its operands' forms; outputs are made plain."""
    made: dict[str, list[Operand]] = {value.name: [Operand(value, Form.PLAIN)] for value in graph.inputs}
    result: list[Step | GenericStep] = []

    def demand(operand: Operand) -> None:
        """Make sure that `operand` exists in its form before the next step."""
        value = operand.value
        source = graph.dequantized.get(value.name)
        if source is not None and value.name not in made:
            demand(source)
            made[value.name] = []
        forms = made[value.name]
        if any(present.form is operand.form for present in forms):
            return
        origin = source if source is not None else forms[0]
        result.append(ConvertStep(origin, Operand(value, operand.form)))
        forms.append(Operand(value, operand.form))

    for step in graph.steps:
        if isinstance(step, ConvertStep) and step.source.value.name in made:
            # An explicit QuantizeLinear reads its input as it lies, plane or not.
            step = step.reading(made[step.source.value.name][0].form)
        for operand in step.inputs:
            demand(operand)
        result.append(step)
        outputs: Sequence[Operand]
        if isinstance(step, GenericStep):
            outputs = [Operand(value, Form.PLAIN) for value in step.outputs]
        else:
            outputs = [step.output]
        for output in outputs:
            made.setdefault(output.value.name, []).append(Operand(output.value, output.form))
    for value in graph.outputs:
        demand(Operand(value, Form.PLAIN))
    return result
