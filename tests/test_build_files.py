"""A build configuration and the flags that change it, as `vdeploy compile` puts them together."""

from __future__ import annotations

from pathlib import Path

import pytest

from vacc_deploy.build_files import name_for, require_files, resolve_build, with_dataset
from vacc_deploy.errors import ConfigError, DataError, ErrorList, FileError, VdeployError

SUFFIXES: dict[str, tuple[list[str], str | None]] = {
    "the file's own": (["a.bmp"], "bmp"),
    "the file's own among others": (["a.png", "b.bmp", "notes.txt"], "bmp"),
    "another": (["a.png", "b.png"], None),
    "in a folder per class": (["cats/a.BMP"], "bmp"),
    "nothing": ([], None),
}


@pytest.mark.parametrize(("files", "expected"), SUFFIXES.values(), ids=SUFFIXES)
def test_other_data_keep_the_ending_only_where_it_is_found(
    files: list[str], expected: str | None, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    config = resolve_build("official_vdsr")
    assert config.dataset is not None
    assert config.dataset.suffix == "bmp"
    changed = with_dataset(config, tmp_path)
    assert changed.dataset is not None
    assert (changed.dataset.path, changed.dataset.suffix) == (tmp_path, expected)
    assert ("suffix" in changed.effective()["dataset"]["sampler"]) == (expected is not None)
    assert changed.dataset.process_ops == config.dataset.process_ops


def test_no_other_data_change_nothing() -> None:
    config = resolve_build("official_vdsr")
    assert with_dataset(config, None) is config


def test_given_shapes_replace_the_files_and_pictures_follow() -> None:
    config = resolve_build("official_vdsr", [("", (1, 96, 160))])
    assert config.inputs == {"input": (1, 1, 96, 160)}
    assert config.dataset is not None
    sizes = [op.size for op in config.dataset.process_ops if op.type == "Resize"]
    assert sizes == [(96, 160)]
    with pytest.raises(ConfigError, match="no input 'luma'"):
        resolve_build("official_vdsr", [("luma", (1, 96, 160))])


NAMES = {
    ("net_int8", "int8", "fp16"): "net_fp16",
    ("net_fp16", "fp16", "int8"): "net_int8",
    ("net", "fp16", "int8"): "net",
    ("net_int8", "int8", None): "net_int8",
    ("net_fp16", "int8", "fp16"): "net_fp16",
}


@pytest.mark.parametrize(("given", "expected"), NAMES.items())
def test_the_name_follows_the_precision(given: tuple[str, str, str | None], expected: str) -> None:
    assert name_for(*given) == expected


MISSING: dict[str, tuple[bool, bool, type[VdeployError] | None, str]] = {
    "the model": (False, True, FileError, "vdeploy export vdsr"),
    "the calibration data": (True, True, DataError, "absent' does not exist"),
    "both": (False, True, ErrorList, "vdeploy export vdsr"),
    "data that nobody reads": (True, False, None, ""),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_files_are_refused_together(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_exists, calibrates, error, words = MISSING[name]
    monkeypatch.chdir(tmp_path)
    config = resolve_build("official_vdsr")
    if model_exists:
        config.checkpoint.parent.mkdir(parents=True)
        config.checkpoint.touch()
    if name != "the model":
        config = config.override(dataset=tmp_path / "absent")
    if error is None:
        require_files(config, calibrates=calibrates)
        return
    with pytest.raises(error, match=words):
        require_files(config, calibrates=calibrates)


def test_the_vendors_placeholder_is_no_missing_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = resolve_build("official_vdsr")
    config.checkpoint.parent.mkdir(parents=True)
    config.checkpoint.touch()
    require_files(config, calibrates=True)
