"""The artifact on disk: what it holds (`format`), how it is written (`writer`) and read (`reader`)."""

from __future__ import annotations

from vacc_deploy.artifact.format import FORMAT_VERSION, Layer, Manifest, TensorSpec
from vacc_deploy.artifact.reader import Artifact, find_newest, read_artifact
from vacc_deploy.artifact.self_test import SelfTest
from vacc_deploy.artifact.writer import write_artifact

__all__ = [
    "FORMAT_VERSION",
    "Artifact",
    "Layer",
    "Manifest",
    "SelfTest",
    "TensorSpec",
    "find_newest",
    "read_artifact",
    "write_artifact",
]
