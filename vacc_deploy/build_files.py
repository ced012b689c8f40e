"""Find the build configuration that a command line means: a file, a shipped one's name, or a bare model."""

from __future__ import annotations

import difflib
from importlib.resources import as_file, files
from pathlib import Path

from vacc_deploy.config import BuildConfig, build_config, load_build_config
from vacc_deploy.errors import ConfigError, ModelError
from vacc_deploy.safe_io import Positions, is_torchscript, read_onnx

_MODEL_SUFFIXES = (".onnx", ".pt", ".pth", ".torchscript")


def shipped_builds() -> list[str]:
    """Names of the build YAMLs that come with the package."""
    return sorted(
        entry.name for entry in files("vacc_deploy.build_configs").iterdir() if entry.name.endswith(".yaml")
    )


def resolve_build(argument: str) -> BuildConfig:
    """The configuration that `argument` names: an existing file, then a shipped name.

    A model file stands for a configuration with its own name, fp16, and its own input shapes.

    Raises:
        ConfigError: There is neither; the nearest shipped names are given.
    """
    path = Path(argument)
    if path.suffix in _MODEL_SUFFIXES:
        return _bare_model(path)
    if path.is_file():
        return load_build_config(path)
    shipped = shipped_builds()
    name = argument if argument.endswith(".yaml") else f"{argument}.yaml"
    if name in shipped:
        with as_file(files("vacc_deploy.build_configs") / name) as file:
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


def _bare_model(path: Path) -> BuildConfig:
    if not path.is_file():
        raise ConfigError(f"no model at {path}", hint="vdeploy export NAME writes one")
    shapes = _own_shapes(path)
    data = {
        "name": path.name.split(".")[0],
        "frontend": {
            "type": "onnx" if path.suffix == ".onnx" else "pytorch",
            "checkpoint": str(path),
            "shape": shapes,
        },
        "backend": {"type": "tvm_vacc", "dtype": "fp16"},
        "workspace": {"path": "./deploy_weights"},
    }
    return build_config(data, Positions(str(path)))


def _own_shapes(path: Path) -> dict[str, list[int]]:
    """The input shapes that a model file states itself."""
    # These pull in onnx, which commands that read a YAML do without.
    from vacc_deploy.frontend.convert_torchscript import stored_inputs
    from vacc_deploy.frontend.static_shapes import real_inputs, set_input_shapes

    if is_torchscript(path):
        shapes = stored_inputs(path)
        if not shapes:
            raise ModelError(
                "a TorchScript file does not say its input shapes",
                where=str(path),
                hint="compile a build YAML that gives them under frontend.shape",
            )
        return shapes
    model = read_onnx(path)
    set_input_shapes(model, None, str(path))
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in real_inputs(model)
    }
