"""Which files belong together, and which are named as lonely."""

from __future__ import annotations

from pathlib import Path

import pytest

from vacc_deploy.errors import DataError, ErrorList
from vacc_deploy.evaluate.pairing import PictureName, list_ground_truth, pair_files

NAMES = {
    "baby_GT_scale_4": PictureName("baby", "lr", 4),
    "baby_GT": PictureName("baby", "hr"),
    "x_scale_4": PictureName("x", "lr", 4),
    "0801x2": PictureName("0801", "lr", 2),
    "babyx4": PictureName("baby", "lr", 4),
    "img_003_SRF_2_LR": PictureName("img_003", "lr", 2),
    "img_003_SRF_2_HR": PictureName("img_003", "hr", 2),
    "face_lr": PictureName("face", "lr"),
    "00001": PictureName("00001"),
    "x2": PictureName("x2"),
}


@pytest.mark.parametrize("stem", NAMES)
def test_names_are_taken_apart(stem: str) -> None:
    assert PictureName.parse(stem) == NAMES[stem]


def folder(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in names:
        (path / name).touch()
    return path


PAIRS = {
    "equal names": (["a.png", "b.png"], ["a.png", "b.png"]),
    "other suffix": (["a.png"], ["a.bmp"]),
    "scale": (["a_scale_4.bmp"], ["a.bmp"]),
    "scale and ground truth": (["a_GT_scale_4.bmp"], ["a_GT.bmp"]),
    "div2k": (["0801x2.png", "0802x2.png"], ["0801.png", "0802.png"]),
    "srf": (["img_1_SRF_2_LR.png"], ["img_1_SRF_2_HR.png"]),
    "a name that looks marked": (["linux2.png"], ["linux2.png"]),
}


@pytest.mark.parametrize("case", PAIRS.values(), ids=PAIRS.keys())
def test_pairs_of_two_folders(case: tuple[list[str], list[str]], tmp_path: Path) -> None:
    lr, hr = folder(tmp_path / "lr", *case[0]), folder(tmp_path / "hr", *case[1])
    pairs = pair_files(lr, hr)
    assert [(p.lr and p.lr.name, p.hr.name) for p in pairs] == list(zip(*case, strict=True))


def test_one_folder_with_every_scale(tmp_path: Path) -> None:
    both = folder(tmp_path / "set5", "a_GT.bmp", "a_GT_scale_2.bmp", "a_GT_scale_4.bmp", "readme.txt")
    (pair,) = pair_files(both, both, scale=4)
    assert pair.lr is not None
    assert (pair.lr.name, pair.hr.name) == ("a_GT_scale_4.bmp", "a_GT.bmp")
    with pytest.raises(DataError, match=r"several low-resolution pictures fit 'a_GT\.bmp'"):
        pair_files(both, both)
    with pytest.raises(DataError, match="no picture for scale 3, only for scale 2, 4"):
        pair_files(both, both, scale=3)
    assert [p.hr.name for p in list_ground_truth(both)] == ["a_GT.bmp"]


@pytest.mark.parametrize(
    ("lr", "hr"),
    [("a.png", "a_scale_4.png"), ("a_GT.png", "a_scale_2.png"), ("a_HR.png", "a.png"), ("1.png", "1x2.png")],
)
def test_exchanged_folders_are_noticed(lr: str, hr: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="look exchanged"):
        pair_files(folder(tmp_path / "lr", lr), folder(tmp_path / "hr", hr))
    assert pair_files(tmp_path / "hr", tmp_path / "lr")


def test_lonely_files_are_named_on_both_sides(tmp_path: Path) -> None:
    lr, hr = folder(tmp_path / "lr", "a.png", "b.png"), folder(tmp_path / "hr", "a.png", "c.png")
    with pytest.raises(ErrorList) as caught:
        pair_files(lr, hr)
    assert "for 'b.png'" in str(caught.value)
    assert "for 'c.png'" in str(caught.value)
    (hr / "c.png").unlink()
    with pytest.raises(DataError, match=r"no ground truth in .* for 'b\.png'"):
        pair_files(lr, hr)


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    some, empty = folder(tmp_path / "some", "a.png"), folder(tmp_path / "empty", "notes.txt")
    with pytest.raises(DataError, match="does not exist"):
        pair_files(tmp_path / "nowhere", some)
    with pytest.raises(DataError, match="holds no pictures"):
        pair_files(some, empty)
    with pytest.raises(DataError, match="both --lr and --hr"):
        pair_files(some, some)
