"""npz, npy and safetensors: what is written is read back, by us and by the libraries that own the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io import (
    read_npy,
    read_npz,
    read_safetensors,
    read_safetensors_metadata,
    write_npz,
    write_safetensors,
)

_RNG = np.random.default_rng(0)
ARRAYS: dict[str, Any] = {
    "float32": _RNG.standard_normal((2, 3, 4)).astype(np.float32),
    "float16": _RNG.standard_normal((1, 3)).astype(np.float16),
    "float64": _RNG.standard_normal(5),
    "int64": np.arange(4),
    "int8": np.arange(-3, 3, dtype=np.int8),
    "uint8": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "bool": np.array([True, False]),
    "scalar": np.float32(3.5),
    "empty": np.zeros((0, 3), np.float32),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12.0)[::3],
}


def _same(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == np.asarray(theirs).dtype
    assert ours.shape == np.shape(theirs)


@pytest.mark.parametrize("name", ARRAYS)
def test_npz_round_trip(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_npz(path, {"x": ARRAYS[name]})
    _same(read_npz(path)["x"], ARRAYS[name])
    with np.load(path) as theirs:
        _same(theirs["x"], ARRAYS[name])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "compressed"])
def test_npz_of_numpy(save: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    arrays = read_npz(tmp_path / "a.npz")
    assert list(arrays) == list(ARRAYS)
    for name, expected in ARRAYS.items():
        _same(arrays[name], expected)


@pytest.mark.parametrize("name", ["/9/Add_output_0", "onnx::Reshape_2979", "batched_inputs.1", "入力"])
def test_npz_keeps_tensor_names(name: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", {name: np.ones(2)})
    assert list(read_npz(tmp_path / "a.npz")) == [name]


def test_npz_is_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", ARRAYS)
    write_npz(tmp_path / "b.npz", dict(reversed(ARRAYS.items())))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_big_endian_becomes_native(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4, dtype=">i4"))
    array = read_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(array, np.arange(4))
    assert array.dtype.isnative


def test_small_zero_masks_may_compress_well(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", mask=np.zeros((1000, 1000), np.float32))
    assert not read_npz(tmp_path / "a.npz")["mask"].any()


def test_write_refuses_names_that_lead_out(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not allowed"):
        write_npz(tmp_path / "a.npz", {"../x": np.ones(1)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ARRAYS)
def test_safetensors_round_trip(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {"x": ARRAYS[name], "y": np.ones(3, np.uint8)}, {"model": "vdsr"})
    _same(read_safetensors(path)["x"], ARRAYS[name])
    _same(safetensors.numpy.load_file(path)["x"], ARRAYS[name])
    assert read_safetensors_metadata(path) == {"model": "vdsr"}


def test_safetensors_of_the_library(tmp_path: Path) -> None:
    arrays = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items() if name != "scalar"}
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors")
    ours = read_safetensors(tmp_path / "a.safetensors")
    for name, expected in arrays.items():
        _same(ours[name], expected)
    assert read_safetensors_metadata(tmp_path / "a.safetensors") == {}


def test_safetensors_data_start_on_a_cache_line(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "a.safetensors", {"x": np.ones(3, np.float32)})
    content = (tmp_path / "a.safetensors").read_bytes()
    assert (8 + int.from_bytes(content[:8], "little")) % 64 == 0


def test_safetensors_names_unsupported_types(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="complex64"):
        write_safetensors(tmp_path / "a.safetensors", {"x": np.ones(1, np.complex64)})
    assert not list(tmp_path.iterdir())
