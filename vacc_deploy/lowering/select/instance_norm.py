"""Select instance normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Value, as_plane
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.kernels.sampling import instance_norm
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.activation import Activation, following_activation
from vacc_deploy.lowering.select.one_picture import OnePictureStep
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView


@dataclass(frozen=True, slots=True)
class InstanceNormStep(OnePictureStep):
    """``gamma · (x − mean) / sqrt(var + epsilon) + beta`` per channel of each picture."""

    gamma: npt.NDArray[Any]
    beta: npt.NDArray[Any]
    epsilon: float
    activation: Activation
    op: str = "instance_norm"

    def build(self, inputs: Sequence[Plane | Value], output: Plane | Value, target: Target) -> Kernel:
        """The normalising kernel."""
        source, output = as_plane(inputs[0]), as_plane(output)
        low, high, slope = self.activation.low, self.activation.high, self.activation.slope
        spec = instance_norm.InstanceNormSpec(source, output, self.epsilon, low, high, slope is not None)
        return instance_norm.build(spec, target, self.gamma, self.beta, slope)


def select_instance_norm(node: ir.Node, view: GraphView) -> InstanceNormStep | None:
    """``InstanceNormalization → [Relu, LeakyRelu, …]`` of a float picture."""
    picture = node.inputs[0]
    gamma, beta = (view.folded(value) for value in node.inputs[1:3])
    if picture is None or not view.is_float_picture(picture) or gamma is None or beta is None:
        return None
    result, activation, covered = following_activation(node.outputs[0], view, slopes=True)
    return InstanceNormStep(
        view.float_plane(picture),
        view.float_plane(result),
        view.take([node, *covered]),
        gamma.astype(np.float32),
        beta.astype(np.float32),
        float(node.attributes.get_float("epsilon", 1e-5) or 0.0),
        activation,
    )
