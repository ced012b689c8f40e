"""Pictures in and out: 8-bit RGB, with a cap on pixels and an error for files that end too early."""

from __future__ import annotations

import io
import re
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from vacc_deploy.safe_io.atomic import write_bytes_atomic
from vacc_deploy.safe_io.limits import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_JPEG_SCANS
from vacc_deploy.safe_io.source import (
    PathLike,
    describe_impostor,
    file_error,
    open_source,
    os_error,
    read_bytes,
)

# No other parser of Pillow's is ever reached: PSD, EPS (which starts Ghostscript), FITS … stay shut.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
# The size in a PPM; Pillow's float variant "Pf" would come back as another kind of picture.
_PNM_HEADER = re.compile(rb"P[1-6]((\s|#[^\r\n]*[\r\n])+\d{1,9}){2}")
_PNM_HEADER_BYTES = 4096
_HINT = "give a PNG, JPEG, BMP, WebP, TIFF or PPM file"

Decoder = Literal["opencv", "pillow"]


def image_size(path: PathLike) -> tuple[int, int]:
    """Height and width of a picture in pixels, from its header alone.

    Raises:
        FileError: Not a picture of a known format, or larger than 100 megapixels.
    """
    with open_source(path, MAX_IMAGE_BYTES) as (file, _):
        return _checked_header(path, file)


def read_image(path: PathLike, decoder: Decoder = "opencv") -> NDArray[np.uint8]:
    """A picture as uint8 RGB of shape (height, width, 3).

    Grey pictures get three equal channels, palettes are resolved, transparency is dropped, 16-bit samples
    keep their upper 8 bits, and the camera's orientation mark is obeyed (``opencv``) or ignored (``pillow``),
    as these libraries do.

    Args:
        path: The picture.
        decoder: Whose JPEG decoder; the vendor's pipelines use OpenCV's unless they say ``backend: pillow``.

    Raises:
        FileError: Unreadable, not a picture of a known format, damaged or cut short, or larger than 100
            megapixels.
    """
    image_size(path)
    data = read_bytes(path, MAX_IMAGE_BYTES)
    _check_complete(path, data)
    return _decode_pillow(path, data) if decoder == "pillow" else _decode_opencv(path, data)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder by their suffix, sorted; hidden files are not among them.

    Raises:
        FileError: The folder cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise os_error(folder, error) from error
    visible = [path for path in entries if not path.name.startswith(".") and path.is_file()]
    return [path for path in visible if path.suffix.lower() in SUFFIXES]


def write_image(path: PathLike, rgb: NDArray[np.uint8]) -> None:
    """Write uint8 RGB (height, width, 3) or grey (height, width) as a picture; its name says the format.

    Raises:
        FileError: The suffix names no known format, or the file cannot be written.
    """
    import cv2

    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise file_error(path, f"'{suffix}' is not a picture format that can be written", _HINT)
    pixels = rgb if rgb.ndim == 2 else rgb[:, :, ::-1]
    done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels))
    if not done:
        raise file_error(path, "the picture cannot be encoded", "use .png")
    write_bytes_atomic(path, encoded.tobytes())


def _checked_header(path: PathLike, file: BinaryIO) -> tuple[int, int]:
    from PIL import Image

    head = file.read(_PNM_HEADER_BYTES)
    file.seek(0)
    if not head:
        raise file_error(path, "the file is empty", _HINT)
    if head.startswith(b"P") and not _PNM_HEADER.match(head):
        raise file_error(path, "not a picture that can be read", _HINT, "it is no PPM, PGM or PBM")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own cap below is an error where Pillow's is a warning
            with Image.open(file, formats=FORMATS) as image:
                width, height = image.size
    except (Image.DecompressionBombError, MemoryError):
        raise file_error(path, "the picture is too large", "the limit is 100 megapixels") from None
    # Pillow's parsers raise almost anything on damaged headers (struct.error, KeyError, SyntaxError, …).
    except Exception as error:
        what = describe_impostor(head)
        reason = f"not a picture but {what[0]}" if what else "not a picture that can be read"
        raise file_error(path, reason, what[1] if what else _HINT, _first_line(error)) from None
    if width * height > MAX_IMAGE_PIXELS:
        raise file_error(
            path, f"the picture is too large: {width}×{height} pixels", "the limit is 100 megapixels"
        )
    if width < 1 or height < 1:
        raise file_error(path, f"the picture is empty: {width}×{height} pixels", _HINT)
    return height, width


def _check_complete(path: PathLike, data: bytes) -> None:
    """OpenCV fills the missing part of a cut JPEG or PNG with grey; an error is better."""
    cut = False
    if data.count(b"\xff\xda") > MAX_JPEG_SCANS and data.startswith(b"\xff\xd8"):
        raise file_error(
            path, "a JPEG whose every scan is decoded over the whole picture, of too many", _HINT
        )
    if data.startswith(b"\xff\xd8"):
        cut = data.rfind(b"\xff\xd9") < 0
    elif data.startswith(b"\x89PNG"):
        cut = b"IEND" not in data[-64:] and data.rfind(b"IEND") < 0
    elif data.startswith(b"BM") and len(data) >= 14:
        cut = struct.unpack_from("<I", data, 2)[0] > len(data)
    if cut:
        raise file_error(path, "the picture is cut short", "the file is damaged: copy or download it again")


def _decode_opencv(path: PathLike, data: bytes) -> NDArray[np.uint8]:
    import cv2

    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        raise _damaged(path, error) from None
    if bgr is None:
        raise _damaged(path, None)
    rgb: NDArray[Any] = np.ascontiguousarray(bgr[:, :, ::-1])
    return rgb


def _decode_pillow(path: PathLike, data: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                rgb: NDArray[Any] = np.array(image.convert("RGB"))
    except Exception as error:
        raise _damaged(path, error) from None
    return rgb


def _damaged(path: PathLike, error: BaseException | None) -> Exception:
    why = _first_line(error) if error else None
    return file_error(path, "the picture is damaged", "copy or download the file again", why)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    if not text or " object at 0x" in text:  # an address in memory says nothing and changes every time
        return type(error).__name__
    return text.splitlines()[0][:200]
