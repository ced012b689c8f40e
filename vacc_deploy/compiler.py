"""Compile a network: the stages of the whole way from a model file to an artifact, in order."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import onnx_ir as ir

from vacc_deploy.artifact import Manifest, write_artifact
from vacc_deploy.artifact.writer import require_own_folder
from vacc_deploy.check.pipelines import path_of_process_ops
from vacc_deploy.check.recipe import differences_from_recipe
from vacc_deploy.config import BuildConfig
from vacc_deploy.cpu import cpu_count
from vacc_deploy.data import open_dataset
from vacc_deploy.data.dataset import Dataset
from vacc_deploy.data.image_dataset import ImageDataset
from vacc_deploy.data.sample_pictures import PLACEHOLDER, sample_pictures
from vacc_deploy.errors import FileError, ModelError
from vacc_deploy.frontend import load_model
from vacc_deploy.frontend.extra_ops import append_softmax
from vacc_deploy.frontend.static_shapes import require_batch_of_one
from vacc_deploy.lowering.pipeline import Lowered, lower
from vacc_deploy.lowering.target import Target, resolve_target
from vacc_deploy.precision import PrecisionLimits, search_precisions
from vacc_deploy.processing import Postprocess, Preprocess
from vacc_deploy.quantize.calibrate import calibrate, memory_needed
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.observe.guard_rails import raise_if_strict
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.search.search import SearchResult
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.quantize.vendor_keys import settings_from_config, translate
from vacc_deploy.safe_io import parse_json, read_text, sha256_of
from vacc_deploy.self_test import make_self_test
from vacc_deploy.version import __version__

Advance = Callable[..., None]
ProgressBar = Callable[[str, int | None], AbstractContextManager[Advance]]
"""Opens a progress bar: ``(description, total)`` → a context that yields ``advance(steps=1, note=None)``."""

_SCRATCH_BYTES = 64 << 20
_RECORDED_PACKAGES = ("apache-tvm", "onnx", "onnx-ir", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What the user asks for beyond the build configuration.

    Attributes:
        target: A name that `resolve_target` knows.
        output: Workspace folder; the artifact becomes ``output/<name>/mod``. The configuration's by default.
        dataset: Calibration pictures instead of the configuration's.
        recipe_exact: Quantise precisely as the configuration says, without our improvements.
        table: A calibration table to compile from instead of calibrating.
        limits: Search the precision of every layer within these; None keeps what calibration says.
        strict: Refuse calibration data that the guard rails warn about.
    """

    target: str = "native"
    output: Path | None = None
    dataset: Path | None = None
    recipe_exact: bool = False
    table: Path | None = None
    limits: PrecisionLimits | None = None
    strict: bool = False


@dataclass(slots=True)
class CompileResult:
    """What a compile made; `search` is there if precisions were searched.

    `warnings` are about the compile itself; those about its configuration are the configuration's.
    """

    prefix: Path
    manifest: Manifest
    seconds: dict[str, float] = field(default_factory=dict)  # stage → seconds
    warnings: list[str] = field(default_factory=list)
    search: SearchResult | None = None


def compile_model(
    config: BuildConfig, options: CompileOptions, progress: ProgressBar | None = None
) -> CompileResult:
    """Go the whole way: frontend, calibrate, quantize, lower, artifact.

    Raises:
        VdeployError: Of the stage that failed; nothing half-written is left behind.
    """
    config.require_compilable()
    folder = (options.output or config.workspace) / config.name
    require_own_folder(folder)  # before the work, not after it
    target = resolve_target(options.target)
    warnings: list[str] = []
    clock = _Clock()
    bar = progress or (lambda _description, _total: nullcontext(lambda *_steps, **_note: None))

    with clock.stage("frontend"):
        model = load_model(config.checkpoint, config.inputs or None)
        require_batch_of_one(model, str(config.checkpoint))
        if config.extra_ops is not None and config.extra_ops.type == "softmax":
            append_softmax(model)
    recipe = _recipe(model, config.checkpoint)
    table: CalibrationTable | None = None
    found: SearchResult | None = None
    final = model
    journal = folder.parent / f".{folder.name}.search.json"
    if config.dtype == "int8":
        with clock.stage("calibrate"):
            table = _calibrated(model, config, options, recipe, bar, warnings)
        if options.limits is not None:
            with clock.stage("search"), bar("searching", None) as advance:
                found = search_precisions(
                    model,
                    table,
                    options.limits,
                    _dataset(model, config, options),
                    recipe,
                    journal,
                    lambda line: advance(note=line),
                )
            table = found.table
        with clock.stage("quantize"):
            final = quantize(model, table)
    with tempfile.TemporaryDirectory(prefix="vdeploy-") as scratch:
        _require_space(scratch)
        library = Path(scratch) / "mod.so"
        with clock.stage("lower"):
            lowered = lower(final, target, library, why=_reasons(table))
        manifest = _manifest(config, target, recipe, lowered, table)
        with clock.stage("self-test"):
            test = make_self_test(manifest, library, lowered.params, model, Path(scratch) / "trial")
        with clock.stage("write"):
            stage_files = _stage_files(table, final)
            prefix = write_artifact(folder, manifest, library, lowered.params, test, stage_files)
    journal.unlink(missing_ok=True)  # the answer is in the artifact now
    return CompileResult(prefix, manifest, clock.seconds, warnings, found)


def _require_space(folder: str) -> None:
    """Refuse a full disk beforehand: LLVM ends the process, temporary files and all, when it cannot write."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    free = shutil.disk_usage(folder).free
    why = None
    if free < _SCRATCH_BYTES:
        why = f"{free >> 20} MiB are free"
    elif allowed != resource.RLIM_INFINITY and allowed < _SCRATCH_BYTES:
        why = f"ulimit -f allows {allowed} bytes per file"
    if why is not None:
        raise FileError(
            f"compiling needs {_SCRATCH_BYTES >> 20} MiB for temporary files",
            where=folder,
            why=why,
            hint="free some space, raise the limit, or set TMPDIR to another folder",
        )


def _calibrated(
    model: ir.Model,
    config: BuildConfig,
    options: CompileOptions,
    recipe: Mapping[str, Any],
    bar: ProgressBar,
    warnings: list[str],
) -> CalibrationTable:
    if options.table is not None:
        return CalibrationTable.from_json(read_text(options.table), str(options.table))
    translation = translate(config.quantize, find_layers(model))
    warnings += translation.notes
    settings = settings_from_config(
        config.quantize, translation.choices, recipe_exact=options.recipe_exact, threads=cpu_count()
    )
    dataset = _dataset(model, config, options)
    if _is_placeholder(config, options):
        warnings.append(
            f"dataset.path is a placeholder: calibrated on {len(dataset)} sample pictures that come with "
            "scikit-image; give pictures of the network's own kind with --dataset"
        )
    if isinstance(dataset, ImageDataset) and config.dataset is not None and recipe.get("preprocess"):
        preprocess = Preprocess.from_json(recipe["preprocess"])
        path = path_of_process_ops(config.dataset.process_ops or ())
        differences = [
            f"calibration {difference}: int8 is made for other values than the network will see"
            for difference in differences_from_recipe(path, preprocess)
        ]
        warnings += differences
        raise_if_strict(differences, strict=options.strict)
    needed = memory_needed(model, settings) >> 20
    done = 0
    with bar(f"calibrating, up to {needed} MiB", len(dataset)) as advance:

        def report(pictures: int, what: str) -> None:
            nonlocal done
            advance(pictures - done, note=what)
            done = pictures

        table = calibrate(model, dataset, settings, report)
    warnings += table.warnings
    raise_if_strict(table.warnings, strict=options.strict)
    return table


def _dataset(model: ir.Model, config: BuildConfig, options: CompileOptions) -> Dataset:
    inputs = {
        str(value.name): tuple(value.shape.numpy() if value.shape else ()) for value in model.graph.inputs
    }
    if _is_placeholder(config, options) and config.dataset is not None and len(inputs) == 1:
        ((name, shape),) = inputs.items()
        return ImageDataset(sample_pictures(), config.dataset.process_ops, input_name=name, input_shape=shape)
    return open_dataset(config.dataset, inputs, options.dataset)


def _is_placeholder(config: BuildConfig, options: CompileOptions) -> bool:
    """Whether the file still says ``/path/to/…`` and nobody said otherwise."""
    section = config.dataset
    if options.dataset is not None or section is None or section.path is None or not section.process_ops:
        return False
    return str(section.path).startswith(PLACEHOLDER) and not section.path.exists()


def _reasons(table: CalibrationTable | None) -> dict[str, str]:
    return {} if table is None else {name: entry.why for name, entry in table.layers.items()}


def _stage_files(table: CalibrationTable | None, quantized: ir.Model) -> dict[str, bytes]:
    if table is None:
        return {}
    return {
        "calibration.json": table.to_json().encode(),
        "quantized.onnx": ir.to_proto(quantized).SerializeToString(deterministic=True),
    }


def _manifest(
    config: BuildConfig,
    target: Target,
    recipe: dict[str, Any],
    lowered: Lowered,
    table: CalibrationTable | None,
) -> Manifest:
    versions = {name: version(name) for name in _RECORDED_PACKAGES}
    return Manifest(
        name=config.name,
        dtype=config.dtype,
        target=target.name,
        isa=target.isa.value,
        requires=tuple(sorted(target.requires)),
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        run_stream=lowered.run_stream,
        params=tuple(lowered.params),
        versions={"vacc_deploy": __version__, **versions},
        config=without_folders(config.effective()),
        sources={"checkpoint": sha256_of(config.checkpoint)},
        recipe=recipe,
        calibration={} if table is None else json.loads(table.to_json()),
    )


def without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """`config` with absolute paths cut to their last part: where a file lay says nothing here."""

    def cut(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cut(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [cut(entry) for entry in value]
        absolute = isinstance(value, str) and PurePath(value).is_absolute()
        return PurePath(value).name if absolute else value

    cleaned: dict[str, Any] = cut(config)
    return cleaned


def _recipe(model: ir.Model, checkpoint: Path) -> dict[str, Any]:
    """What `vdeploy export` wrote into the model; checked, since any other program may have written it."""
    text = model.metadata_props.get("vdeploy")
    if not text:
        return {}
    recipe = parse_json(text, f"{checkpoint} [metadata 'vdeploy']")
    if not isinstance(recipe, dict):
        raise ModelError(
            "the model's metadata 'vdeploy' is not an object",
            where=str(checkpoint),
            hint="export the model again, or remove that entry",
        )
    if recipe.get("preprocess"):
        Preprocess.from_json(recipe["preprocess"])
    if recipe.get("postprocess"):
        Postprocess.from_json(recipe["postprocess"])
    return recipe


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
