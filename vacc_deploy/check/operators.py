"""ONNX operators before lowering: which ones compile, why the others do not, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vacc_deploy.errors import ModelError, raise_together

if TYPE_CHECKING:
    import onnx_ir as ir

_NAMES = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast
    CastLike Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace
    DequantizeLinear Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather
    GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpPool
    MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg Not OneHot Or PRelu Pad Pow
    QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND
    Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
# Float and QDQ networks of these compile: convolutions, matrix products and what surrounds them get kernels
# of our own, the rest goes through Relax.
SUPPORTED_OPERATORS: frozenset[str] = frozenset(_NAMES.split())

_DYNAMIC = "the size of its result depends on the data"
_CUT = "export the network up to this node and do the rest in your own code"
_FLOW = "it chooses at run time what is computed"
_TRACE = "export by tracing, with fixed input shapes, so that the branch or loop is unrolled"
_RECURRENT = "recurrent layers are not built"
_QUANTISED = "it is an operator of an already quantised model"
_GIVE_FLOAT = (
    "give the float model and let 'vdeploy compile --dtype int8' quantise it, or convert it to QDQ form"
)

# Operator → (why it does not compile, what to do).
REFUSALS: Mapping[str, tuple[str, str]] = {
    "NonZero": (_DYNAMIC, _CUT),
    "NonMaxSuppression": (_DYNAMIC, _CUT),
    "Unique": (_DYNAMIC, _CUT),
    "Compress": (_DYNAMIC, _CUT),
    "If": (_FLOW, _TRACE),
    "Loop": (_FLOW, _TRACE),
    "Scan": (_FLOW, _TRACE),
    "LSTM": (_RECURRENT, _CUT),
    "GRU": (_RECURRENT, _CUT),
    "RNN": (_RECURRENT, _CUT),
    "QLinearConv": (_QUANTISED, _GIVE_FLOAT),
    "QLinearMatMul": (_QUANTISED, _GIVE_FLOAT),
    "ConvInteger": (_QUANTISED, _GIVE_FLOAT),
    "MatMulInteger": (_QUANTISED, _GIVE_FLOAT),
    "DynamicQuantizeLinear": (_QUANTISED, _GIVE_FLOAT),
    "DeformConv": ("deformable convolutions are not built", _CUT),
    "RoiAlign": ("regions of interest are not built", _CUT),
    "MaxRoiPool": ("regions of interest are not built", _CUT),
    "MaxUnpool": ("it needs the indices of a MaxPool", "use Resize or ConvTranspose"),
    **dict.fromkeys(
        (
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
            "Multinomial",
            "Bernoulli",
        ),
        ("its result is random, so nothing could be verified", "store the noise in the model as a constant"),
    ),
    **dict.fromkeys(
        (
            "SequenceConstruct",
            "SequenceAt",
            "SequenceInsert",
            "SplitToSequence",
            "ConcatFromSequence",
            "SequenceEmpty",
        ),
        ("lists of tensors are not tensors", "use Split and Concat"),
    ),
}

# Calls in TorchScript's code that have no counterpart above.
TORCH_REFUSALS: Mapping[str, tuple[str, str]] = {
    "nonzero": (_DYNAMIC, _CUT),
    "nms": (_DYNAMIC, _CUT),
    "unique2": (_DYNAMIC, _CUT),
    "masked_select": (_DYNAMIC, _CUT),
    "lstm": (_RECURRENT, _CUT),
    "gru": (_RECURRENT, _CUT),
    "deform_conv2d": ("deformable convolutions are not built", _CUT),
    "grid_sampler_3d": ("only the 2-d grid sampler is built", _CUT),
    **dict.fromkeys(
        ("randn", "randn_like", "rand", "rand_like", "normal", "bernoulli", "multinomial"),
        (
            "its result is random, so nothing could be verified",
            "register the noise as a buffer before exporting",
        ),
    ),
}


def refusal(operator: str) -> tuple[str, str]:
    """Why an unsupported ONNX operator does not compile, and what to do."""
    return REFUSALS.get(operator, ("this operator is not built", _CUT))


def and_more(nodes: Sequence[object]) -> str:
    """What follows the first of several nodes in a message: how many there are besides."""
    return f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""


def require_supported(model: ir.Model, where: str) -> None:
    """Refuse operators that are known not to compile, all at once, before any work goes into the others.

    Args:
        model: The simplified model: branches and loops over constants are gone.
        where: Its file, for messages.

    Raises:
        ModelError: There are such operators.
    """
    refused: dict[str, list[str]] = {}
    for node in model.graph:
        if node.op_type in REFUSALS:
            refused.setdefault(node.op_type, []).append(str(node.name))
    problems = []
    for operator, nodes in sorted(refused.items()):
        why, hint = refusal(operator)
        problems.append(
            ModelError(
                f"operator {operator} cannot be compiled",
                where=f"{where}, node {nodes[0]}{and_more(nodes)}",
                why=why,
                hint=hint,
            )
        )
    raise_together(problems)


def require_unquantised(model: ir.Model, where: str) -> None:
    """Refuse to quantise what is quantised already, by training for instance.

    Raises:
        ModelError: The model has QuantizeLinear or DequantizeLinear nodes.
    """
    nodes = [node for node in model.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    if nodes:
        raise ModelError(
            "the network is quantised already",
            where=f"{where}, node {nodes[0].name}{and_more(nodes)}",
            hint="compile it with --dtype fp16: layers between its own QuantizeLinear and DequantizeLinear "
            "become integer kernels as they stand; or give the float model",
        )
