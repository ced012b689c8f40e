"""Compile a network: the stages of the whole way from a model file to an artifact, in order."""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import onnx_ir as ir

from vacc_deploy.artifact import Manifest, write_artifact
from vacc_deploy.artifact.writer import require_own_folder
from vacc_deploy.calibration import ProgressBar, calibration_data, calibration_table
from vacc_deploy.check.operators import require_supported, require_unquantised
from vacc_deploy.config import BuildConfig
from vacc_deploy.errors import FileError, ModelError
from vacc_deploy.frontend import load_model
from vacc_deploy.frontend.extra_ops import append_softmax
from vacc_deploy.frontend.static_shapes import require_batch_of_one
from vacc_deploy.lowering.pipeline import Lowered, lower
from vacc_deploy.lowering.target import Target, resolve_target
from vacc_deploy.precision import PrecisionLimits, search_precisions
from vacc_deploy.processing import Postprocess, Preprocess
from vacc_deploy.quantize.qdq import quantize
from vacc_deploy.quantize.search.search import SearchResult
from vacc_deploy.quantize.table import CalibrationTable
from vacc_deploy.safe_io import parse_json, read_text, sha256_of
from vacc_deploy.self_test import make_self_test
from vacc_deploy.version import __version__

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
        require_supported(model, str(config.checkpoint))
        if config.dtype == "int8":
            require_unquantised(model, str(config.checkpoint))
        if config.extra_ops is not None and config.extra_ops.type == "softmax":
            append_softmax(model)
    recipe = _recipe(model, config.checkpoint)
    table: CalibrationTable | None = None
    found: SearchResult | None = None
    final = model
    journal = folder.parent / f".{folder.name}.search.json"
    if config.dtype == "int8":
        with clock.stage("calibrate"):
            if options.table is not None:
                table = CalibrationTable.from_json(read_text(options.table), str(options.table))
            else:
                table, warnings = calibration_table(
                    model,
                    config,
                    options.dataset,
                    recipe,
                    bar,
                    recipe_exact=options.recipe_exact,
                    strict=options.strict,
                )
        if options.limits is not None:
            with clock.stage("search"), bar("searching", None) as advance:
                found = search_precisions(
                    model,
                    table,
                    options.limits,
                    calibration_data(model, config, options.dataset),
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
