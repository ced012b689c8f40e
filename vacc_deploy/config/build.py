"""The build YAML as a whole: what `vamc compile` reads, checked, with what it says here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from vacc_deploy.config.advice import advise
from vacc_deploy.config.backend import BackendConfig, Dtype
from vacc_deploy.config.dataset import DatasetConfig
from vacc_deploy.config.dialect import normalise
from vacc_deploy.config.frontend import CONVERSIONS, FrontendConfig, FrontendType
from vacc_deploy.config.graph import ExtraOp, GraphConfig
from vacc_deploy.config.problems import validated
from vacc_deploy.config.quantize import QuantizeConfig
from vacc_deploy.config.remark import Remark
from vacc_deploy.config.section import Section, Text
from vacc_deploy.config.workspace import WorkspaceConfig
from vacc_deploy.errors import ConfigError, ErrorList, ModelError
from vacc_deploy.safe_io import PathLike, Positions, read_yaml


def _folder_name(value: str) -> str:
    if (
        not value
        or value in (".", "..")
        or any(c in value for c in "/\\")
        or not value.isprintable()
        or len(value) > 200
    ):
        raise PydanticCustomError(
            "name", "must be usable as a folder's name: the artifact goes to <path>/<name>/mod.*"
        )
    return value


class BuildFile(Section):
    """The sections of a build YAML, in one dialect."""

    name: Annotated[Text, AfterValidator(_folder_name)]
    frontend: FrontendConfig
    backend: BackendConfig
    dataset: DatasetConfig | None = None
    graph: GraphConfig | None = None
    workspace: WorkspaceConfig = WorkspaceConfig()


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """What to compile and how: a build YAML plus the flags that override it.

    Attributes:
        file: The sections as the file has them, overrides applied.
        source: The file's name as the user gave it.
        remarks: Warnings and notes about the file.
    """

    file: BuildFile
    source: str
    remarks: tuple[Remark, ...] = ()

    @property
    def name(self) -> str:
        """The artifact's name."""
        return self.file.name

    @property
    def frontend(self) -> FrontendConfig:
        """The ``frontend`` section."""
        return self.file.frontend

    @property
    def backend(self) -> BackendConfig:
        """The ``backend`` section."""
        return self.file.backend

    @property
    def dataset(self) -> DatasetConfig | None:
        """The ``dataset`` section."""
        return self.file.dataset

    @property
    def graph(self) -> GraphConfig | None:
        """The ``graph`` section."""
        return self.file.graph

    @property
    def checkpoint(self) -> Path:
        """The model file; relative paths start at the working directory."""
        return Path(self.frontend.checkpoint)

    @property
    def frontend_type(self) -> FrontendType:
        """The model file's format."""
        return self.frontend.type

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Input name → shape."""
        return self.frontend.inputs

    @property
    def dtype(self) -> Dtype:
        """What the network computes in."""
        return self.backend.dtype

    @property
    def quantize(self) -> QuantizeConfig:
        """How int8 is made; the defaults where the file says nothing.  Has no meaning for fp16."""
        return self.backend.quantize or QuantizeConfig()

    @property
    def extra_ops(self) -> ExtraOp | None:
        """The operator to add behind the network, if any."""
        extra = self.graph.extra_ops if self.graph is not None else None
        return extra if extra is not None and extra.type is not None else None

    @property
    def workspace(self) -> Path:
        """The folder that holds artifacts; this one's prefix is ``<workspace>/<name>/mod``.

        Raises:
            ConfigError: The file's path leads out of the working directory.
        """
        section = self.file.workspace
        if not section.stays_inside:
            raise ConfigError(
                f"workspace.path '{section.path}' leads out of the working directory",
                where=self.source,
                why="a file from elsewhere must not choose where on this machine things are written",
                hint=f"if you want it there, say so: -o {section.path}",
            )
        return Path(section.path)

    @property
    def warnings(self) -> tuple[Remark, ...]:
        """What to look at."""
        return tuple(remark for remark in self.remarks if remark.level == "warning")

    @property
    def notes(self) -> tuple[Remark, ...]:
        """What has no effect here."""
        return tuple(remark for remark in self.remarks if remark.level == "note")

    def require_compilable(self) -> None:
        """Refuse what parses but cannot be compiled, by name and with what to do instead.

        Raises:
            ModelError: The front end or the extra operator is not supported.
        """
        if self.frontend_type in CONVERSIONS:
            raise ModelError(
                f"front end not supported: {self.frontend_type}",
                where=f"{self.source}: frontend.type",
                hint=CONVERSIONS[self.frontend_type],
            )
        if self.extra_ops is not None and self.extra_ops.type not in ("softmax", "insert_odma"):
            raise ModelError(
                f"extra operator not supported: {self.extra_ops.type}",
                where=f"{self.source}: graph.extra_ops.type",
                hint="remove graph.extra_ops and post-process the network's own outputs",
            )

    def override(
        self,
        *,
        name: str | None = None,
        dtype: str | None = None,
        checkpoint: PathLike | None = None,
        shape: Mapping[str, tuple[int, ...]] | None = None,
        dataset: PathLike | None = None,
        any_suffix: bool = False,
        calibrate_mode: str | None = None,
        scheme: str | None = None,
        weight_scale: str | None = None,
    ) -> BuildConfig:
        """The configuration with the command line's flags applied; None leaves the file's value.

        `shape` holds shapes of some or all inputs; pictures that process_ops made for the old ones follow.
        `any_suffix` takes every file of the dataset, whatever the file says about their ending.

        Raises:
            ErrorList: A value is not allowed.
        """
        data = self.file.model_dump(mode="json", by_alias=True, exclude_unset=True)
        quantize = {"calibrate_mode": calibrate_mode, "scheme": scheme, "weight_scale": weight_scale}
        given = {key: value for key, value in quantize.items() if value is not None}
        if given:
            data["backend"]["quantize"] = {**(data["backend"].get("quantize") or {}), **given}
        if name is not None:
            data["name"] = name
        if dtype is not None:
            data["backend"]["dtype"] = dtype
        if checkpoint is not None:
            data["frontend"]["checkpoint"] = str(checkpoint)
            del data["frontend"]["type"]  # the new file's ending decides, as everywhere
        for key, new in (shape or {}).items():
            data["frontend"]["shape"][key] = list(new)
            _resize_pictures(data.get("dataset") or {}, self.inputs[key][2:], new[2:])
        if dataset is not None:
            data["dataset"] = {**(data.get("dataset") or {}), "path": str(dataset)}
        if any_suffix and data.get("dataset"):
            data["dataset"].get("sampler", {}).pop("suffix", None)
        config = build_config(data, Positions(f"{self.source} with command-line flags"))
        return replace(config, source=self.source, remarks=self.remarks)

    def effective(self) -> dict[str, Any]:
        """The configuration with every default filled in, as a build YAML would say it; JSON-ready.

        Sections without effect are left out: ``quantize`` for fp16.
        """
        data: dict[str, Any] = self.file.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self.dtype == "fp16":
            data["backend"].pop("quantize", None)
        else:
            data["backend"]["quantize"] = self.quantize.model_dump(
                mode="json", by_alias=True, exclude_none=True
            )
        return data


def _resize_pictures(dataset: dict[str, Any], old: tuple[int, ...], new: tuple[int, ...]) -> None:
    """Have process_ops that end in [height, width] `old` end in `new`, in place; other steps stay."""
    for op in dataset.get("process_ops") or ():
        for key in ("size", "crop_size"):
            if len(new) == 2 and op.get(key) == list(old):
                op[key] = list(new)


def build_config(data: Any, positions: Positions) -> BuildConfig:
    """Check a build YAML's data.

    Args:
        data: What the file holds.
        positions: Where it holds it; its `file` is the name in messages.

    Raises:
        ErrorList: The data are not a valid build configuration; every problem with its place.
    """
    if not isinstance(data, dict):
        kind = "empty" if data is None else f"a {type(data).__name__}"
        raise ErrorList(
            [
                ConfigError(
                    f"not a build YAML: the file is {kind}",
                    where=positions.file,
                    hint="it needs name, frontend …",
                )
            ]
        )
    source = normalise({str(key): value for key, value in data.items()}, positions)
    file = validated(source, BuildFile)
    advise(file, source)
    return BuildConfig(file, positions.file, tuple(source.remarks))


def load_build_config(path: PathLike) -> BuildConfig:
    """Read and check a build YAML of either vendor dialect.

    Raises:
        FileError: The file cannot be read or is not YAML.
        ErrorList: The file is YAML but not a valid build configuration; every problem with line and column.
    """
    return build_config(*read_yaml(path))
