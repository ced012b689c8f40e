"""Datasets: which files, in which order, and what bad files are called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vacc_deploy.data import ImageDataset, NpzDataset, open_dataset
from vacc_deploy.data.datalist import read_datalist
from vacc_deploy.data.image_to_npz import raw_pictures, write_npz_folder
from vacc_deploy.data.sampler import sample_files
from vacc_deploy.errors import DataError, ErrorList, FileError
from vacc_deploy.safe_io import read_npz, write_image, write_npz

OPS = [
    {"type": "DecodeImage"},
    {"type": "Resize", "size": [8, 8]},
    {"type": "Normalize"},
    {"type": "ToTensor"},
]
SHAPE = (1, 3, 8, 8)


def picture(path: Path, value: int = 0, size: tuple[int, int] = (10, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.full((*size, 3), value, np.uint8))
    return path


def test_suffix_ignores_case_and_the_first_n_are_sorted(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.jpeg", "c.jpg", "d.png"):
        picture(tmp_path / name)
    assert [p.name for p in sample_files(tmp_path, "jpg", None)] == ["a.jpeg", "b.JPG", "c.jpg"]
    assert [p.name for p in sample_files(tmp_path, ".PNG", None)] == ["d.png"]
    assert [p.name for p in sample_files(tmp_path, None, 2)] == ["a.jpeg", "b.JPG"]


def test_class_folders_are_searched_only_where_the_top_has_nothing(tmp_path: Path) -> None:
    for name in ("n02/x.png", "n01/y.png"):
        picture(tmp_path / name)
    assert [p.parent.name for p in sample_files(tmp_path, "png", None)] == ["n01", "n02"]
    picture(tmp_path / "top.png")
    assert [p.name for p in sample_files(tmp_path, "png", None)] == ["top.png"]


def test_hidden_files_are_not_data(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_bytes(b"x")
    picture(tmp_path / "a.png")
    assert [p.name for p in sample_files(tmp_path, None, None)] == ["a.png"]


def test_missing_empty_and_unsuitable_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        sample_files(tmp_path / "nowhere", "jpg", None)
    with pytest.raises(DataError, match="is empty"):
        sample_files(tmp_path, "jpg", None)
    with pytest.raises(DataError, match="is not a folder"):
        sample_files(picture(tmp_path / "a.png"), "png", None)
    with pytest.raises(DataError, match="no 'jpg' file") as caught:
        sample_files(tmp_path, "jpg", None)
    assert "'png'" in str(caught.value.hint)


def test_images_become_network_inputs(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 51)
    picture(tmp_path / "b.png", 255)
    dataset = ImageDataset(tmp_path, OPS, "png", input_name="x", input_shape=SHAPE)
    samples = list(dataset)
    assert len(dataset) == 2
    assert [s["x"].max() for s in samples] == [np.float32(51) / np.float32(255), 1.0]
    assert {s["x"].shape for s in samples} == {SHAPE}
    assert len(list(dataset)) == 2  # a second pass reads again


SINGLE = {
    "a picture": "a.png",
    "an npz file": "b.npz",
    "a datalist": "list.txt",
    "a datalist of pictures": "pictures.txt",
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_file_is_a_dataset(name: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 51)
    write_npz(tmp_path / "b.npz", {"x": np.full(SHAPE, 0.2, np.float32)})
    (tmp_path / "list.txt").write_text("b.npz\n")
    (tmp_path / "pictures.txt").write_text("a.png\r\n\r\n")
    settings = SimpleNamespace(path=None, suffix="jpg", count=5, process_ops=OPS)
    dataset = open_dataset(settings, {"x": SHAPE}, tmp_path / SINGLE[name])
    (sample,) = list(dataset)
    assert sample["x"].shape == SHAPE
    np.testing.assert_allclose(sample["x"], 0.2, rtol=1e-6)


UNPREPARED = {"a picture": ("a.png", None), "a list": ("list.txt", None), "a folder": (".", "PNG")}


@pytest.mark.parametrize("name", UNPREPARED)
def test_pictures_need_process_ops(name: str, tmp_path: Path) -> None:
    path, suffix = UNPREPARED[name]
    picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png\n")
    settings = SimpleNamespace(path=tmp_path / path, suffix=suffix, count=5, process_ops=())
    with pytest.raises(DataError, match="add process_ops"):
        open_dataset(settings, {"x": SHAPE})


def test_every_unreadable_file_is_named_in_one_run(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not a picture")
    (tmp_path / "c.png").write_bytes(b"")
    with pytest.raises(ErrorList) as caught:
        list(ImageDataset(tmp_path, OPS, "png", input_shape=SHAPE))
    assert "b.png" in str(caught.value)
    assert "c.png" in str(caught.value)
    (tmp_path / "c.png").unlink()
    with pytest.raises(FileError, match=r"b\.png"):
        list(ImageDataset(tmp_path, OPS, "png", input_shape=SHAPE))


def test_wrong_channel_count_names_the_picture(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="the network takes 1×8×8") as caught:
        list(ImageDataset(tmp_path, OPS, "png", input_shape=(1, 1, 8, 8)))
    assert "a.png" in str(caught.value.where)


def test_npz_arrays_by_name_and_by_position(tmp_path: Path) -> None:
    ids, mask = np.arange(4, dtype=np.int32)[np.newaxis], np.ones((1, 4), np.int32)
    write_npz(tmp_path / "a.npz", {"mask": mask, "ids": ids})
    named = next(iter(NpzDataset(tmp_path, ["ids", "mask"])))
    np.testing.assert_array_equal(named["ids"], ids)
    write_npz(tmp_path / "a.npz", {"input_0": ids, "input_1": mask})
    positional = next(iter(NpzDataset(tmp_path, ["ids", "mask"])))
    np.testing.assert_array_equal(positional["mask"], mask)
    assert positional["ids"].dtype == np.int32


BAD_ARRAYS: dict[str, tuple[Any, str]] = {
    "nan": (np.full(SHAPE, np.nan, np.float32), "NaN"),
    "infinity": (np.full(SHAPE, np.inf, np.float32), "NaN or infinite"),
    "shape": (np.zeros((1, 1, 8, 8), np.float32), "1×1×8×8, the network takes 1×3×8×8"),
    "dtype": (np.zeros(SHAPE, np.complex64), "not a plain number"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays_are_refused_by_file_name(case: tuple[Any, str], tmp_path: Path) -> None:
    array, message = case
    np.savez(tmp_path / "bad.npz", input=array)
    with pytest.raises((DataError, FileError), match=message) as caught:
        list(NpzDataset(tmp_path, {"input": SHAPE}))
    assert "bad.npz" in str(caught.value)


def test_missing_array_is_named(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", {"ids": np.zeros((1, 4), np.int32)})
    with pytest.raises(DataError, match="no array for input mask"):
        list(NpzDataset(tmp_path, ["ids", "mask"]))


def test_batch_axis_may_be_missing(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", {"input": np.zeros(SHAPE[1:], np.float32)})
    assert next(iter(NpzDataset(tmp_path, {"input": SHAPE})))["input"].shape == SHAPE


def test_datalist_keeps_its_order_and_names_missing_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_npz(tmp_path / f"{name}.npz", {"input": np.zeros(SHAPE, np.float32)})
    datalist = tmp_path / "list.txt"
    datalist.write_text(f"# comment\n{tmp_path / 'b.npz'}\n\na.npz\n")
    assert [p.name for p in read_datalist(datalist)] == ["b.npz", "a.npz"]
    assert len(list(open_dataset(settings(datalist), {"input": SHAPE}))) == 2
    datalist.write_text("gone.npz\na.npz\n")
    with pytest.raises(DataError, match="1 of 2 files") as caught:
        read_datalist(datalist)
    assert "gone.npz" in str(caught.value.why)


def settings(path: Path | None, ops: Any = (), suffix: str | None = None, count: int | None = None) -> Any:
    return SimpleNamespace(path=path, process_ops=ops, suffix=suffix, count=count)


def test_open_dataset_tells_pictures_from_npz(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    write_npz(tmp_path / "arrays" / "a.npz", {"input": np.zeros(SHAPE, np.float32)})
    inputs = {"input": SHAPE}
    assert isinstance(open_dataset(settings(tmp_path / "images", OPS, "png"), inputs), ImageDataset)
    assert isinstance(open_dataset(settings(tmp_path / "arrays", (), "NPZ"), inputs), NpzDataset)
    override = open_dataset(settings(tmp_path / "gone", OPS, "jpg"), inputs, tmp_path / "images")
    assert [p.name for p in override.files] == ["a.png"]  # another folder need not have the YAML's suffix
    with pytest.raises(DataError, match="no dataset is given"):
        open_dataset(None, inputs)


def test_raw_npz_pictures_pass_through_process_ops_like_the_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png", rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    files = sample_files(tmp_path / "images", None, None)
    write_npz_folder(tmp_path / "npz", files, raw_pictures(files, key="input_0"))
    inputs = {"input": SHAPE}
    from_files = next(iter(open_dataset(settings(tmp_path / "images", OPS), inputs)))
    from_npz = next(iter(open_dataset(settings(tmp_path / "npz" / "datalist.txt", OPS), inputs)))
    np.testing.assert_array_equal(from_files["input"], from_npz["input"])


def test_npz_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png", size=(4, 6))
    (tmp_path / "images" / "b.png").write_bytes(b"broken")
    files = sample_files(tmp_path / "images", None, None)
    with pytest.raises(FileError):
        write_npz_folder(tmp_path / "npz", files, raw_pictures(files, key="input_0"))
    assert [p.name for p in tmp_path.iterdir()] == ["images"]
    write_npz_folder(tmp_path / "npz", files[:1], raw_pictures(files[:1], key="input_0", luma_only=True))
    array = read_npz(tmp_path / "npz" / "a.npz")["input_0"]
    assert (array.shape, array.dtype) == ((3, 4, 6), np.uint8)
    assert (tmp_path / "npz" / "datalist.txt").read_text() == f"{tmp_path / 'npz' / 'a.npz'}\n"
    with pytest.raises(DataError, match=r"both become a\.npz"):
        write_npz_folder(tmp_path / "x", [files[0], picture(tmp_path / "other" / "a.bmp")], [])
