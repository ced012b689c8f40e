"""What a valid build YAML should make its owner look at, and what in it has no effect here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from vacc_deploy.config.dialect import Normalised
from vacc_deploy.config.frontend import CONVERSIONS, TYPE_BY_SUFFIX
from vacc_deploy.config.graph import EXTRA_OP_PARAMETERS
from vacc_deploy.config.process_ops import (
    CenterCrop,
    ChannelSplit,
    CustomFunc,
    DecodeImage,
    Normalize,
    Pad,
    Resize,
)
from vacc_deploy.config.quantize import keys_without_effect
from vacc_deploy.config.section import Section
from vacc_deploy.config.suggest import did_you_mean

if TYPE_CHECKING:
    from vacc_deploy.config.build import BuildFile


def advise(file: BuildFile, source: Normalised) -> None:
    """Add warnings and notes about a valid file to `source.remarks`."""
    _frontend(file, source)
    _quantize(file, source)
    _dataset(file, source)
    _extra_ops(file, source)
    _unknown_placement(file, source)
    _without_effect(file, source)
    if not file.workspace.stays_inside:
        source.remark(
            ("workspace", "path"),
            f"'{file.workspace.path}' leads out of the working directory: 'vdeploy compile' will ask for -o",
        )
    for infix, other in (("int8", "fp16"), ("fp16", "int8")):
        if infix in file.name and other not in file.name and file.backend.dtype == other:
            source.remark(("name",), f"the name says {infix} and backend.dtype {other}", "note")


def _frontend(file: BuildFile, source: Normalised) -> None:
    frontend = file.frontend
    if frontend.type in CONVERSIONS:
        source.remark(
            ("frontend", "type"),
            f"the {frontend.type} front end is not supported: {CONVERSIONS[frontend.type]}",
        )
        return
    suffix = PurePosixPath(frontend.checkpoint).suffix.lower()
    if TYPE_BY_SUFFIX.get(suffix, frontend.type) != frontend.type:
        source.remark(
            ("frontend", "type"),
            f"type is {frontend.type}, but '{suffix}' is the ending of {TYPE_BY_SUFFIX[suffix]}",
        )
    if frontend.is_dynamic:
        source.remark(
            ("frontend", "shape"),
            "a dynamic model is compiled for its largest shape only: one artifact, one shape",
        )


def _quantize(file: BuildFile, source: Normalised) -> None:
    backend, path = file.backend, ("backend", "quantize")
    if backend.dtype == "fp16":
        if backend.quantize is not None:
            source.remark(path, "backend.quantize is ignored: dtype is fp16", "note")
        if file.dataset is not None:
            source.remark(("dataset",), "dataset is not needed for fp16; 'vdeploy run' may use it", "note")
        return
    if backend.quantize is not None and "calibrate_mode" not in backend.quantize.model_fields_set:
        source.remark(path, f"no calibrate_mode is given: {backend.quantize.calibrate_mode} is used")
    if file.frontend.type not in CONVERSIONS and (file.dataset is None or file.dataset.path is None):
        source.remark(
            ("backend", "dtype"),
            "int8 needs calibration data and dataset.path is missing: give --dataset to compile",
        )


def _dataset(file: BuildFile, source: Normalised) -> None:
    if file.dataset is None:
        return
    ops = file.dataset.process_ops
    path = ("dataset", "process_ops")
    for index, op in enumerate(ops):
        if isinstance(op, Normalize) and op.div255 and any(abs(mean) > 1.5 for mean in op.mean or ()):
            source.remark(
                (*path, index), "mean is on the 0…255 scale and div255, true by default, divides by 255 first"
            )
        if isinstance(op, CustomFunc):
            source.remark(
                (*path, index), "CustomFunc would run Python code: save its arrays as npz and use those"
            )
        if (
            isinstance(op, Resize)
            and op.adaptive_side
            and not any(isinstance(later, Pad) for later in ops[index:])
        ):
            source.remark(
                (*path, index), f"adaptive_side: {op.adaptive_side} keeps the aspect and no Pad follows"
            )
    shapes = [shape for shape in file.frontend.inputs.values() if len(shape) == 4]
    if not ops or len(shapes) != 1 or file.frontend.is_dynamic:
        return
    size, channels = _outcome(file)
    if size is not None and size != shapes[0][2:]:
        source.remark(
            path,
            f"process_ops make pictures of {size[0]}×{size[1]} (height × width), the network takes "
            f"{shapes[0][2]}×{shapes[0][3]}",
        )
    if channels != shapes[0][1] and shapes[0][1] in (1, 3):
        source.remark(path, f"process_ops make {channels} channel(s), the network takes {shapes[0][1]}")


def _outcome(file: BuildFile) -> tuple[tuple[int, int] | None, int]:
    """Height and width (None: they depend on the picture) and channels at the end of process_ops."""
    size: tuple[int, int] | None = None
    channels, frame = 3, 0
    for op in file.dataset.process_ops if file.dataset else ():
        if (isinstance(op, DecodeImage) and op.cv2_flags == 0) or isinstance(op, ChannelSplit):
            channels = 1
        elif isinstance(op, Resize):
            size, frame = (None if op.adaptive_side else op.size), op.size[0]
        elif isinstance(op, CenterCrop):
            size = op.crop_size
        elif isinstance(op, Pad) and frame:
            size = (frame, frame)
    return size, channels


def _extra_ops(file: BuildFile, source: Normalised) -> None:
    extra = file.graph.extra_ops if file.graph is not None else None
    path = ("graph", "extra_ops")
    if extra is None:
        return
    if extra.type is None:
        if extra.params:
            source.remark(path, "extra_ops has parameters but no type: nothing is added to the network")
        return
    if extra.type == "insert_odma":
        source.remark(path, "insert_odma only changes the layout on the card", "note")
    elif extra.type != "softmax":
        source.remark(
            path, f"{extra.type} is recognised but not built: post-process the network's outputs yourself"
        )
    for name in sorted(set(extra.params) - EXTRA_OP_PARAMETERS):
        source.remark((*path, "params", name), _unknown(name, "graph.extra_ops.params", EXTRA_OP_PARAMETERS))


def _unknown_placement(file: BuildFile, source: Normalised) -> None:
    sections: dict[str, Section | None] = {
        "compile": file.backend.placement,
        "dynamic_params": file.backend.dynamic_params,
    }
    for name, section in sections.items():
        if section is None:
            continue
        known = type(section).model_fields
        for key in sorted(section.model_extra or {}):
            source.remark(("backend", name, key), _unknown(key, f"backend.{name}", known))


def _unknown(name: str, section: str, known: Iterable[str]) -> str:
    close = did_you_mean(name, known)
    return f"'{name}' is not a known key of {section} and is ignored" + (
        f": did you mean '{close}'?" if close else ""
    )


def _without_effect(file: BuildFile, source: Normalised) -> None:
    for path in _placement_paths(source):
        source.remark(path, f"'{path[-1]}' has no effect in emulation", "note")


def _placement_paths(source: Normalised) -> Iterator[tuple[str, ...]]:
    backend = source.data["backend"]
    for key in ("merge_params", "remove_params", "gather_data_vccl_dsp_enable"):
        if key in backend:
            yield ("backend", key)
    for section in ("compile", "dynamic_params"):
        for key in sorted(backend.get(section) or ()):
            yield ("backend", section, key)
    for key in keys_without_effect(backend.get("quantize") or {}):
        yield ("backend", "quantize", key)
    for section, keys in {
        "dataset": ("name", "nsamples", "seqlen"),
        "workspace": ("enable_ir", "save_log", "env_recheck", "workers", "pyenv"),
    }.items():
        for key in keys:
            if key in (source.data.get(section) or {}):
                yield (section, key)
