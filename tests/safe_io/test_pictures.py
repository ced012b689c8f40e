"""Pictures become 8-bit RGB, whatever they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io import image_size, picture_files, read_image, write_image

_RNG = np.random.default_rng(0)
_RGB = _RNG.integers(0, 256, (17, 23, 3), np.uint8)


@pytest.mark.parametrize("decoder", ["opencv", "pillow"])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_formats(suffix: str, decoder: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, _RGB)
    np.testing.assert_array_equal(read_image(path, decoder), _RGB)  # type: ignore[arg-type]
    assert image_size(path) == (17, 23)


MODES = {
    "gray": Image.fromarray(_RGB[:, :, 0]),
    "palette": Image.fromarray(_RGB).quantize(16),
    "alpha": Image.fromarray(np.dstack([_RGB, _RGB[:, :, :1]])),
    "bilevel": Image.fromarray(_RGB[:, :, 0] > 127),
}


@pytest.mark.parametrize("name", MODES)
def test_modes_become_rgb(name: str, tmp_path: Path) -> None:
    MODES[name].save(tmp_path / "a.png")
    ours, theirs = (read_image(tmp_path / "a.png", decoder) for decoder in ("opencv", "pillow"))
    assert ours.shape == (17, 23, 3)
    np.testing.assert_array_equal(ours, theirs)


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path) -> None:
    Image.fromarray((np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[:, :, 0].ravel(), np.arange(256))


def test_gray_is_written_as_gray(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", _RGB[:, :, 0])
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"


def test_unknown_format_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="not a picture format"):
        write_image(tmp_path / "a.doc", _RGB)
    assert not list(tmp_path.iterdir())


def test_a_folder_gives_its_visible_pictures_in_order(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", "._a.jpg"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in picture_files(tmp_path)] == ["a.jpg", "b.PNG"]
    with pytest.raises(FileError, match="cannot read"):
        picture_files(tmp_path / "a.jpg")


@pytest.mark.golden
def test_both_decoders_agree_on_real_pictures(shared_data: Path) -> None:
    for path in sorted((shared_data / "set5_vdsr").rglob("*.bmp")):
        np.testing.assert_array_equal(read_image(path), read_image(path, "pillow"), err_msg=str(path))
