"""Which build YAML and which vdsp JSON prepare pictures for the same network, and whether they agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.check.compare import Comparison, Reason, compare_preprocessing, is_comparable
from vacc_deploy.check.finding import Finding
from vacc_deploy.check.pictures import sample_pictures
from vacc_deploy.config import BuildConfig, load_build_config, load_vdsp_params
from vacc_deploy.errors import ConfigError, VdeployError
from vacc_deploy.safe_io import read_image

# The zoo names files <origin>_<model>.yaml and <origin>-<model>-vdsp_params.json.
_AFTER_ORIGIN = re.compile(r"[-_]")


def pair_up(findings: Sequence[Finding]) -> list[tuple[Finding, Finding]]:
    """(build YAML, vdsp JSON) for every two of the files that belong together.

    A single YAML belongs to every JSON given with it. Several find theirs by the zoo's layout,
    ``…/build/<origin>_….yaml`` beside ``…/vdsp_params/<origin>-….json``. Files with errors have no partner.
    """
    builds = [finding for finding in findings if finding.kind == "build" and not finding.errors]
    operators = [finding for finding in findings if finding.kind == "vdsp" and not finding.errors]
    if len(builds) == 1:
        return [(builds[0], operator) for operator in operators]
    return [(build, operator) for operator in operators for build in builds if _same_model(build, operator)]


def _same_model(build: Finding, operator: Finding) -> bool:
    ours, theirs = Path(build.file), Path(operator.file)
    return (
        (ours.parent.name, theirs.parent.name) == ("build", "vdsp_params")
        and ours.parent.parent == theirs.parent.parent
        and _AFTER_ORIGIN.split(ours.name)[0] == _AFTER_ORIGIN.split(theirs.name)[0]
    )


def compare_pairs(
    pairs: Sequence[tuple[Finding, Finding]],
    images: Sequence[Path] = (),
    *,
    judge_kernel: bool = True,
    done: Callable[[], object] = lambda: None,
) -> None:
    """Add the differences in pre-processing to the findings of the vdsp JSONs.

    Args:
        pairs: See `pair_up`.
        images: Pictures to compare on; empty takes samples that are larger and smaller than the network's
            input.
        judge_kernel: Warn, too, where both sides agree on a resize that loses against the one that training
            code uses. Nearly all of the vendor's files do; in bulk it hides what differs.
        done: Called after each pair.

    Raises:
        FileError: A picture cannot be read.
    """
    given = [(path.name, read_image(path)) for path in images]
    for build, operator in pairs:
        config = load_build_config(build.file)
        if is_comparable(config):
            _compare(config, operator, given or _samples(config), judge_kernel)
        done()


def require_comparable(pairs: Sequence[tuple[Finding, Finding]]) -> None:
    """Refuse to compare nothing.

    Raises:
        ConfigError: There is no pair, or none whose YAML prepares pictures.
    """
    if not any(is_comparable(load_build_config(build.file)) for build, _ in pairs):
        raise ConfigError(
            "there is nothing to compare: no build YAML with process_ops and vdsp JSON of one network",
            why="one YAML is compared with every JSON; several YAMLs find theirs as …/build/NAME_….yaml "
            "beside …/vdsp_params/NAME-….json",
            hint="vdeploy check --compare build.yaml params.json",
        )


def _samples(config: BuildConfig) -> list[tuple[str, NDArray[np.uint8]]]:
    shape = next(iter(config.inputs.values()))
    return sample_pictures((shape[-2], shape[-1]) if len(shape) == 4 else (256, 256))


def _compare(
    config: BuildConfig,
    finding: Finding,
    pictures: Sequence[tuple[str, NDArray[np.uint8]]],
    judge_kernel: bool,
) -> None:
    params = load_vdsp_params(finding.file)[0]
    results: list[Comparison] = []
    problems: list[str] = []
    for name, rgb in pictures:
        with _collected(problems, f"{name}: cannot be compared with {config.source}"):
            results.append(compare_preprocessing(config, params, rgb, name))
    finding.warnings += problems
    if not results:
        return
    finding.facts.setdefault("comparisons", []).extend(
        {"build": config.source, **result.to_json()} for result in results
    )
    for result in results:
        where = f"{result.picture} ({result.size[0]}×{result.size[1]})"
        finding.warnings += [f"{where}: {_sentence(reason)}" for reason in result.reasons]
        if result.resize_quality is not None and result.resize_quality.mean_steps > 0:
            lines = finding.warnings if judge_kernel else finding.notes
            lines.append(f"{where}: {_sentence(result.resize_quality)}")
    finding.verdict = _verdict(config.source, results)


@contextmanager
def _collected(problems: list[str], prefix: str) -> Iterator[None]:
    try:
        yield
    except VdeployError as error:
        problems.append(f"{prefix}: {error.what}")


def _verdict(source: str, results: Sequence[Comparison]) -> str:
    steps = max(result.max_steps for result in results)
    if all(result.agrees for result in results):
        return f"prepares pictures as {source} does, to within {steps:g} of an 8-bit step"
    return f"prepares pictures otherwise than {source} (8-bit steps: at most {steps:g})"


def _sentence(reason: Reason) -> str:
    steps = f"8-bit steps: mean {reason.mean_steps:g}, at most {reason.max_steps:g}"
    return f"{reason.cause}: {reason.text} ({steps})"
