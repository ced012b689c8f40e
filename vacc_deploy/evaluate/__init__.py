"""Accuracy: metrics, the published protocols, and the one function that scores a model under one of them."""

from vacc_deploy.evaluate.evaluator import EvalResult, ImageScore, evaluate
from vacc_deploy.evaluate.model_function import ArtifactFunction, ModelFunction, OnnxFunction, open_model
from vacc_deploy.evaluate.protocol import EvaluationProtocol, get_protocol, protocols

__all__ = [
    "ArtifactFunction",
    "EvalResult",
    "EvaluationProtocol",
    "ImageScore",
    "ModelFunction",
    "OnnxFunction",
    "evaluate",
    "get_protocol",
    "open_model",
    "protocols",
]
