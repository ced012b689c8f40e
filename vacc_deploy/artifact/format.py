"""What an artifact holds.

An artifact is a prefix, as the vendor's is: ``deploy_weights/<name>/mod`` stands for

==============  =====================================================================================
``mod.so``      code: a Relax VM executable
``mod.json``    the manifest: run stream, boundary tensors, target, configuration, calibration, origins
``mod.params``  constants, a safetensors file
``mod.vectors`` a test input and its expected outputs, a safetensors file
``mod.sha256``  digests of the four above in the format of `sha256sum`
==============  =====================================================================================

beside the stage files ``calibration.json`` and ``quantized.onnx`` of an int8 build. ``mod.json`` and
``mod.params`` depend on the inputs alone: no path, clock, host name or machine property is in them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from vacc_deploy.artifact.typed_fields import typed_record
from vacc_deploy.errors import ArtifactError
from vacc_deploy.processing import Postprocess, Preprocess

FORMAT_VERSION = 1

CODE, MANIFEST, PARAMS, VECTORS, DIGESTS = ".so", ".json", ".params", ".vectors", ".sha256"
_DTYPES = frozenset({"float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"})
_MAX_ELEMENTS = 1 << 31
_MAX_RANK = 8
STAGE_FILES = ("calibration.json", "quantized.onnx")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A boundary tensor: its ONNX name, shape (batch included) and numpy dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def check(self) -> None:
        """Refuse what no compile writes, before memory is taken for it.

        Raises:
            ValueError: The dtype is no number type, or the shape is absurd.
        """
        if self.dtype not in _DTYPES:
            raise ValueError(f"tensor '{self.name[:40]}' has the type '{self.dtype[:20]}'")
        if (
            min(self.shape, default=1) < 1
            or math.prod(self.shape) > _MAX_ELEMENTS
            or len(self.shape) > _MAX_RANK
        ):
            raise ValueError(f"tensor '{self.name[:40]}' has the shape {list(self.shape)[:_MAX_RANK]}")


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the run stream, in execution order.

    Attributes:
        name: The ONNX node it is known by.
        op: Operator name (``conv2d``, ``add``, ``Softmax``).
        engine: Who computes it: ``int8`` or ``fp16`` kernels of ours, ``convert`` between layouts,
            ``relax`` for operators that TVM generates.
        kernel: Symbol of its function in ``mod.so``; empty for generic operators, which Relax fuses.
        nodes: All ONNX nodes that it computes.
        inputs: Names of the tensors that it reads.
        output: Name of the tensor that it makes.
        shape: That tensor's shape.
        scale: Its scale if it is quantised.
        zero_point: Its zero point as ONNX states it.
        macs: Multiply-accumulates per inference.
        why: Who decided its precision and what it costs, where that is known.
    """

    name: str
    op: str
    engine: str
    kernel: str
    nodes: tuple[str, ...]
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None
    macs: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """``mod.json``: everything about an artifact that is not code or constants."""

    name: str
    dtype: str
    target: str
    isa: str
    requires: tuple[str, ...]  # CPU flags
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    run_stream: tuple[Layer, ...]
    params: tuple[str, ...]  # keys of mod.params in the order that the code takes them
    versions: dict[str, str]
    config: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)  # role → sha256 of the file
    recipe: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT_VERSION

    @property
    def preprocess(self) -> Preprocess | None:
        """How the recipe prepares a picture, if the model came with one."""
        data = self.recipe.get("preprocess")
        return Preprocess.from_json(data) if data else None

    @property
    def postprocess(self) -> Postprocess:
        """How an output becomes a picture; 0…1 RGB where the model does not say."""
        data = self.recipe.get("postprocess")
        return Postprocess.from_json(data) if data else Postprocess()

    @property
    def protocol(self) -> str | None:
        """Name of the evaluation protocol that the model's recipe states."""
        name = self.recipe.get("protocol")
        return str(name) if name else None

    @property
    def macs(self) -> int:
        """Multiply-accumulates per inference."""
        return sum(layer.macs for layer in self.run_stream)

    def int8_mac_share(self) -> float:
        """Share of the multiply-accumulates that int8 kernels compute, 0…1."""
        int8 = sum(layer.macs for layer in self.run_stream if layer.engine == "int8")
        return int8 / self.macs if self.macs else 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any], where: str) -> Manifest:
        """The manifest that `to_json` wrote.

        Raises:
            ArtifactError: It was written by a newer version, or fields are missing or unknown.
        """
        version = data.get("format")
        if type(version) is not int or version < 1:
            raise ArtifactError(
                "not a manifest of vacc_deploy",
                where=where,
                hint="point at the mod prefix of a vdeploy compile",
            )
        if version > FORMAT_VERSION:
            raise ArtifactError(
                f"the artifact has format {version}; this version reads up to {FORMAT_VERSION}",
                where=where,
                hint="upgrade: pip install --upgrade vacc_deploy, or compile the model again",
            )
        try:
            manifest = typed_record(cls, data)
            for spec in (*manifest.inputs, *manifest.outputs):
                spec.check()
            return manifest
        except ValueError as error:
            raise ArtifactError(
                "the manifest is damaged", where=where, why=str(error), hint="compile the model again"
            ) from error
