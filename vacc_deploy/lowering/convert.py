"""Steps that carry a value from one form to another: quantise, dequantise, pack, unpack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vacc_deploy.lowering.graph import Form, Operand, Value
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.movement import pack, recode, unpack
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.target import Target


@dataclass(frozen=True, slots=True)
class ConvertStep:
    """Reads `source` and makes `output`: the same numbers in another form, or quantised to it."""

    source: Operand
    output: Operand
    nodes: tuple[str, ...] = ()  # the QuantizeLinear or DequantizeLinear that asks for it, if one does

    @property
    def op(self) -> str:
        """``quantize``, ``dequantize``, ``pack`` (plain to plane) or ``unpack``."""
        if self.output.form is Form.QUANTIZED:
            return "quantize"
        if self.source.form is Form.QUANTIZED:
            return "dequantize"
        return "unpack" if self.output.form is Form.PLAIN else "pack"

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The one source."""
        return (self.source,)

    def reading(self, form: Form) -> ConvertStep:
        """The same conversion from another form of its source."""
        return replace(self, source=Operand(self.source.value, form))

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The conversion kernel."""
        source = inputs[0]
        if isinstance(source, Value):
            assert isinstance(output, Plane)
            spec = pack.PackSpec(output, source.float_type, source.shape)
            return pack.build(spec, target, self.output.step)
        if isinstance(output, Value):
            return unpack.build(
                unpack.UnpackSpec(source, output.float_type, output.shape), target, self.source.step
            )
        return recode.build(recode.RecodeSpec(source, output), target, self.source.step, self.output.step)
