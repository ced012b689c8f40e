"""A small valid build YAML, and ways to change it."""

from __future__ import annotations

from typing import Any

from vacc_deploy.config import BuildConfig, build_config
from vacc_deploy.safe_io import parse_yaml

VALID = """\
name: vdsr_int8
frontend:
  type: onnx
  checkpoint: ./exported/vdsr.onnx
  dtype: fp32
  shape:
    input: [1, 3, 64, 96]
backend:
  type: tvm_vacc
  dtype: int8
  compile:
    opt_level: 2
  quantize:
    calibrate_mode: percentile
    quantize_per_channel: true
dataset:
  type: tvm
  path: /path/to//pictures
  sampler:
    suffix: PNG
    get_data_num: 5
  process_ops:
    - type: DecodeImage
    - type: Resize
      size: [64, 96]
    - type: Normalize
      mean: [0.5, 0.5, 0.5]
      std: [0.5, 0.5, 0.5]
    - type: ToTensor
workspace:
  path: ./deploy_weights/
"""


def changed(*replacements: tuple[str, str]) -> str:
    """The valid text with some lines replaced; each must be there."""
    text = VALID
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return text


def parse(text: str) -> BuildConfig:
    """The configuration in a text, as if it came from ``f.yaml``."""
    return build_config(*parse_yaml(text, "f.yaml"))


def problems(text: str) -> list[tuple[str, str, str]]:
    """(place, what, hint) of every problem in a text."""
    import pytest

    from vacc_deploy.errors import ErrorList

    with pytest.raises(ErrorList) as caught:
        parse(text)
    found: list[Any] = list(caught.value.errors)
    return [(error.where, error.what, error.hint) for error in found]
