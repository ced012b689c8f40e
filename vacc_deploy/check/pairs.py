"""`vdeploy check --compare`: the YAML among the files against every vdsp JSON among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.check.compare import Comparison, Reason, compare_preprocessing
from vacc_deploy.check.finding import Finding
from vacc_deploy.check.pictures import sample_pictures
from vacc_deploy.config import BuildConfig, load_build_config, load_vdsp_params
from vacc_deploy.errors import ConfigError, VdeployError
from vacc_deploy.safe_io import read_image


def compare_pairs(findings: Sequence[Finding], images: Sequence[Path]) -> None:
    """Add the differences in pre-processing to the findings of the vdsp JSONs.

    Args:
        findings: One build YAML's and at least one vdsp JSON's, already linted.
        images: Pictures to compare on; empty takes samples that are larger and smaller than the network's
            input.

    Raises:
        ConfigError: The files are not one YAML and some JSONs.
    """
    builds = [finding for finding in findings if finding.kind == "build"]
    operators = [finding for finding in findings if finding.kind == "vdsp"]
    if len(builds) != 1 or not operators:
        raise ConfigError(
            f"--compare takes one build YAML and vdsp JSONs, not {len(builds)} and {len(operators)}",
            hint="vdeploy check --compare build.yaml params.json",
        )
    if builds[0].errors:
        return  # its errors are in its own row
    config = load_build_config(builds[0].file)
    pictures = [(path.name, read_image(path)) for path in images] or _samples(config)
    for finding in operators:
        if not finding.errors:
            _compare(config, finding, pictures)


def _samples(config: BuildConfig) -> list[tuple[str, NDArray[np.uint8]]]:
    shape = next(iter(config.inputs.values()))
    return sample_pictures((shape[-2], shape[-1]) if len(shape) == 4 else (256, 256))


def _compare(
    config: BuildConfig, finding: Finding, pictures: Sequence[tuple[str, NDArray[np.uint8]]]
) -> None:
    params = load_vdsp_params(finding.file)[0]
    results: list[Comparison] = []
    try:
        results = [compare_preprocessing(config, params, rgb, name) for name, rgb in pictures]
    except VdeployError as error:
        finding.add(error)
    finding.facts["comparisons"] = [result.to_json() for result in results]
    for result in results:
        where = f"{result.picture} ({result.size[0]}×{result.size[1]})"
        for reason in result.reasons:
            finding.warnings.append(f"{where}: {_sentence(reason)}")
        if result.resize_quality is not None and result.resize_quality.mean_steps > 0:
            finding.warnings.append(f"{where}: {_sentence(result.resize_quality)}")


def _sentence(reason: Reason) -> str:
    steps = f"{reason.mean_steps:g} steps in the mean, {reason.max_steps:g} at most"
    return f"{reason.cause}: {reason.text}: {steps}"
