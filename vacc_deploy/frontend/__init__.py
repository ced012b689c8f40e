"""ONNX and TorchScript files in, one clean static ONNX model out."""

from vacc_deploy.frontend.load import load_model

__all__ = ["load_model"]
