"""Images in "device memory", made from arrays or raw files and read back as arrays."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacc_deploy.errors import RunError
from vacc_deploy.runtime import vdsp
from vacc_deploy.runtime.vdsp import ImageFormat
from vacc_deploy.safe_io import read_bytes
from vacc_deploy.vsx.tensor import Tensor

_MAX_RAW_BYTES = 1 << 28  # an NV12 frame of 16384 × 10922 pixels


class Image:
    """A picture on the emulated device.

    Args:
        picture: Pixels and their layout.
        device_id: The device that holds it.
    """

    def __init__(self, picture: vdsp.Image, device_id: int = 0) -> None:
        self.picture = picture
        self.device_id = device_id

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return self.picture.height

    @property
    def format(self) -> ImageFormat:
        """Layout of the pixels."""
        return self.picture.format

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that `as_numpy` returns."""
        return self.picture.array.shape

    @property
    def widthpitch(self) -> int:
        """Distance between rows; the emulation does not pad them."""
        return self.width

    @property
    def heightpitch(self) -> int:
        """Distance between planes in rows; the emulation does not pad them."""
        return self.height

    width_pitch = widthpitch
    height_pitch = heightpitch

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.picture.array.size

    @property
    def addr(self) -> int:
        """Address of the first byte; custom operators put it into their configuration."""
        return int(self.picture.array.ctypes.data)

    def __repr__(self) -> str:
        return f"Image({self.format.name}, {self.width}x{self.height})"


def create_image(
    array: npt.ArrayLike | str | Path | None = None,
    format: ImageFormat | int = ImageFormat.RGB_PLANAR,
    width: int = 0,
    height: int = 0,
    device_id: int = 0,
    *,
    rawdata_path: str | Path | None = None,
) -> Image:
    """Copy pixels to the device.

    Args:
        array: The pixels; or the path of a file that holds nothing but them. None makes a black image, with
            a warning: that is also what OpenCV reads from a file that is not there.
        format: Their layout, or its number as ``get_attribute(AttrKey.IIMAGE_FORMAT)`` tells it.
        width: Columns.
        height: Rows.
        device_id: The device, or a `Context`.
        rawdata_path: Another way to give the path.

    Raises:
        RunError: The number of values is not what format, width and height make, or there is no such format.
    """
    format = _known(format)
    if rawdata_path is not None or isinstance(array, (str, Path)):
        path = Path(rawdata_path if rawdata_path is not None else str(array))
        array = np.frombuffer(read_bytes(path, _MAX_RAW_BYTES), np.uint8)
    if array is None:
        warnings.warn("no pixels were given: the image is black", stacklevel=2)
        array = np.zeros(_shape(format, width, height), np.uint8)
    pixels = _to_bytes(np.asarray(array))
    shape = _shape(format, width, height)
    if pixels.size != int(np.prod(shape)):
        raise RunError(
            f"an image of format {format.name} and {width}x{height} pixels has {int(np.prod(shape))} values, "
            f"the array has {pixels.size} {list(pixels.shape)}",
            hint="width and height are the picture's own, whatever the model takes",
        )
    if pixels.ndim == 3 and pixels.shape != shape:
        warnings.warn(
            f"an array of shape {list(pixels.shape)} is taken for {format.name} {list(shape)}: "
            "bytes are read as they lie, nothing is transposed",
            stacklevel=2,
        )
    return Image(vdsp.Image(pixels.reshape(shape), format), int(device_id))


def as_numpy(data: Image | Tensor) -> npt.NDArray[Any]:
    """A copy on the host: a tensor's array, or an image's pixels in the shape of its format.

    (H, W, 3) for interleaved, (3, H, W) for planar, (H·3/2, W) for NV12 and (H, W) for gray images.

    Raises:
        RunError: It is neither.
    """
    if isinstance(data, Image):
        return data.picture.array.copy()
    if isinstance(data, Tensor):
        return data.array.copy()
    raise RunError(
        f"as_numpy takes an image or a tensor, not {type(data).__name__}",
        hint="outputs are lists: per item of the batch, a list of tensors",
    )


def _known(format: ImageFormat | int) -> ImageFormat:
    try:
        return ImageFormat(format)
    except ValueError as error:  # scripts take a ValueError for the end of a stream
        raise RunError(
            f"there is no image format {format!r}",
            hint="formats are " + ", ".join(f"{known.name} ({known.value})" for known in ImageFormat),
        ) from error


def _shape(format: ImageFormat, width: int, height: int) -> tuple[int, ...]:
    if format in (ImageFormat.RGB_PLANAR, ImageFormat.BGR_PLANAR):
        return (3, height, width)
    if format in (ImageFormat.RGB_INTERLEAVE, ImageFormat.BGR_INTERLEAVE):
        return (height, width, 3)
    return (height * 3 // 2, width) if format == ImageFormat.YUV_NV12 else (height, width)


def _to_bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A contiguous copy as uint8; other types are rounded and clipped, with a warning."""
    if array.dtype == np.uint8:
        return np.array(array, order="C")
    if array.dtype.kind not in "fiub":
        raise RunError(f"an image cannot be made of {array.dtype} values")
    # The card reads such bytes as they lie and computes noise (the documented 12.8 dB of ecbsr).
    warnings.warn(f"pixels of type {array.dtype} are rounded and clipped to 8 bits", stacklevel=3)
    rounded: npt.NDArray[np.uint8] = np.clip(np.rint(array), 0, 255).astype(np.uint8)
    return rounded
