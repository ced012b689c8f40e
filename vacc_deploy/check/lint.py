"""Checking build YAMLs, vdsp JSONs and models in bulk."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path

from vacc_deploy.check.finding import Finding, one_line
from vacc_deploy.check.preflight import preflight
from vacc_deploy.config import BuildConfig, Remark, load_build_config, load_vdsp_params
from vacc_deploy.errors import VdeployError

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
JSON_SUFFIXES = frozenset({".json"})
MODEL_SUFFIXES = frozenset({".onnx", ".pt", ".pth", ".torchscript"})


def expand(paths: Iterable[Path]) -> list[Path]:
    """The files named, and of folders every YAML and JSON below, sorted."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = (file for file in path.rglob("*") if file.suffix.lower() in YAML_SUFFIXES | JSON_SUFFIXES)
            files += sorted(file for file in found if file.is_file())
        else:
            files.append(path)
    return files


def check_files(paths: Sequence[Path]) -> list[Finding]:
    """Look at each file by itself, then at what the build YAMLs do to each other."""
    findings: list[Finding] = []
    configs: list[tuple[Finding, BuildConfig]] = []
    for path in paths:
        finding = Finding(str(path))
        try:
            suffix = path.suffix.lower()
            if suffix in YAML_SUFFIXES:
                configs.append((finding, _check_build(path, finding)))
            elif suffix in MODEL_SUFFIXES:
                finding.kind = "model"
                preflight(path, finding)
            else:
                _check_vdsp(path, finding)
        except VdeployError as error:
            finding.add(error)
        findings.append(finding)
    _warn_about_shared_names(configs)
    return findings


def _check_build(path: Path, finding: Finding) -> BuildConfig:
    finding.kind = "build"
    config = load_build_config(path)
    _record(finding, config.remarks)
    return config


def _check_vdsp(path: Path, finding: Finding) -> None:
    finding.kind = "vdsp"
    for operator in load_vdsp_params(path):
        _record(finding, operator.remarks)


def _record(finding: Finding, remarks: Iterable[Remark]) -> None:
    for remark in remarks:
        lines = finding.warnings if remark.level == "warning" else finding.notes
        lines.append(one_line(remark.what, remark.where))


def _warn_about_shared_names(configs: Sequence[tuple[Finding, BuildConfig]]) -> None:
    """Two files that write the same artifact overwrite each other."""
    first: dict[str, Finding] = {}
    for finding, config in configs:
        prefix = posixpath.join(config.file.workspace.path, config.name)
        if prefix in first:
            finding.warnings.append(f"the artifact {prefix}/mod is also written by {first[prefix].file}")
        else:
            first[prefix] = finding
