"""Checking build YAMLs, vdsp JSONs and models in bulk."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from vacc_deploy.check.finding import Finding
from vacc_deploy.check.preflight import preflight
from vacc_deploy.config import BuildConfig, Remark, load_build_config, load_vdsp_params
from vacc_deploy.errors import FileError, VdeployError
from vacc_deploy.safe_io import open_source
from vacc_deploy.safe_io.limits import MAX_ARTIFACT_BYTES

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
JSON_SUFFIXES = frozenset({".json"})
MODEL_SUFFIXES = frozenset({".onnx", ".pt", ".pth", ".torchscript"})


# What a config file of either kind has near its beginning, and files of other programs do not.
_HEAD_BYTES = 1 << 16
_BUILD_KEY = re.compile(rb"""(?m)(?:^|[{,]\s*)["']?(?:frontend|backend)["']?\s*:""")
_VDSP_KEY = re.compile(rb'"(?:OpType|OpConfig|vdsp_op_type)"\s*:')


def expand(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The files to check: those named, and of folders every build YAML and vdsp JSON below, sorted.

    Returns:
        The files, and the YAML and JSON files of the folders that are some other program's.
    """
    files: list[Path] = []
    others: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
            if file.suffix.lower() in YAML_SUFFIXES | JSON_SUFFIXES and not hidden and file.is_file():
                (files if _is_config(file) else others).append(file)
    return files, others


def _is_config(path: Path) -> bool:
    key = _VDSP_KEY if path.suffix.lower() in JSON_SUFFIXES else _BUILD_KEY
    try:
        with open_source(path, MAX_ARTIFACT_BYTES) as (file, size):
            return size == 0 or key.search(file.read(_HEAD_BYTES)) is not None
    except (FileError, OSError):
        return True  # whoever checks it says why it cannot be read


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
        lines.append(remark.line)


def _warn_about_shared_names(configs: Sequence[tuple[Finding, BuildConfig]]) -> None:
    """Two files that write the same artifact overwrite each other."""
    first: dict[str, Finding] = {}
    for finding, config in configs:
        prefix = posixpath.join(config.file.workspace.path, config.name)
        if prefix in first:
            finding.warnings.append(f"the artifact {prefix}/mod is also written by {first[prefix].file}")
        else:
            first[prefix] = finding
