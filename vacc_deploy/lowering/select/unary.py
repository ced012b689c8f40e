"""Select unary operators on codes: 256-entry tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from vacc_deploy.lowering.graph import Form, Operand, Quantization, Value
from vacc_deploy.lowering.kernels import table
from vacc_deploy.lowering.kernels.kernel import Kernel
from vacc_deploy.lowering.plane import Plane
from vacc_deploy.lowering.select.registry import selector
from vacc_deploy.lowering.target import Target
from vacc_deploy.lowering.view import GraphView
