"""Find the build configuration that a command line means: a file, a shipped one's name, or a bare model."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib.resources import as_file
from pathlib import Path

from vacc_deploy.bare_model import MODEL_SUFFIXES, bare_model
from vacc_deploy.config import BuildConfig, load_build_config
from vacc_deploy.config.input_shapes import GivenShape, match_shapes
from vacc_deploy.config.shipped import shipped_files
from vacc_deploy.data.sample_pictures import PLACEHOLDER
from vacc_deploy.data.sampler import existing_path, offers
from vacc_deploy.errors import ConfigError, DataError, FileError, VdeployError, raise_together

_EXPORT_REMARK = "# Get the checkpoint with: "  # the template of build_configs writes it


def resolve_build(argument: str, shapes: Sequence[GivenShape] = ()) -> BuildConfig:
    """The configuration that `argument` names: an existing file, then a shipped name.

    A model file stands for a configuration of its own; see `bare_model`.

    Args:
        argument: What the user wrote.
        shapes: Input shapes that stand for the file's.

    Raises:
        ConfigError: There is neither; the nearest shipped names are given.  Or the shapes fit no input.
    """
    path = Path(argument)
    if path.suffix in MODEL_SUFFIXES:
        return bare_model(path, shapes)
    build = _configured(argument)
    ranks = {name: len(shape) for name, shape in build.inputs.items()}
    matched = match_shapes(shapes, ranks, f"frontend.shape of {build.source}")
    return build.override(shape=matched) if matched else build


def _configured(argument: str) -> BuildConfig:
    """The build YAML at a path, else the shipped one of a name."""
    path = Path(argument)
    if path.is_file():
        return load_build_config(path)
    shipped = shipped_files("build_configs")
    name = argument if argument.endswith(".yaml") else f"{argument}.yaml"
    if name in shipped:
        with as_file(shipped[name]) as file:
            return load_build_config(file)
    close = difflib.get_close_matches(name, shipped, n=3) or shipped
    raise ConfigError(
        f"no build configuration at {argument}", hint=f"shipped with the package: {', '.join(close)}"
    )


def name_for(name: str, configured: str, dtype: str | None) -> str:
    """An artifact's name when ``--dtype`` overrides the file: ``…_int8`` becomes ``…_fp16`` and back.

    The vendor's users edit both keys by hand; forgetting one would overwrite the other artifact.
    """
    if dtype is None or dtype == configured or not name.endswith(f"_{configured}"):
        return name
    return name.removesuffix(configured) + dtype


def with_dataset(config: BuildConfig, dataset: Path | None) -> BuildConfig:
    """The configuration on other data, whose files may end otherwise; None changes nothing."""
    if dataset is None:
        return config
    suffix = config.dataset.suffix if config.dataset is not None else None
    return config.override(dataset=dataset, any_suffix=suffix is not None and not offers(dataset, suffix))


def require_files(config: BuildConfig, *, calibrates: bool) -> None:
    """Refuse a configuration whose model file or calibration data are missing, before any work.

    Args:
        config: What is to be compiled.
        calibrates: Whether its dataset will be read.

    Raises:
        FileError: There is no such model file; the command that makes it is given.
        DataError: No dataset is given, or there is no such one.
        ErrorList: Both.
    """
    problems: list[VdeployError] = []
    if not config.checkpoint.is_file():
        command = _export_commands().get(config.checkpoint.name)
        hint = f"make it with: {command}" if command else "give --checkpoint MODEL.onnx, or correct the path"
        where = f"{config.checkpoint}, frontend.checkpoint of {config.source}"
        problems.append(FileError("there is no such model file", where=where, hint=hint))
    path = config.dataset.path if config.dataset is not None else None
    if calibrates and not str(path).startswith(PLACEHOLDER):
        try:
            existing_path(path)
        except DataError as error:
            problems.append(error)
    raise_together(problems)


def _export_commands() -> dict[str, str]:
    """File name of an exported model → the command that writes it, as the shipped build YAMLs say."""
    commands: dict[str, str] = {}
    for file in shipped_files("build_configs").values():
        text = file.read_text(encoding="utf-8")
        said = next((line for line in text.splitlines() if line.startswith(_EXPORT_REMARK)), "")
        checkpoint = next((line for line in text.splitlines() if line.strip().startswith("checkpoint:")), "")
        if said and checkpoint:
            commands[Path(checkpoint.split(":", 1)[1].strip()).name] = said.removeprefix(_EXPORT_REMARK)
    return commands
