"""The card's media engines. They are silicon that this package does not emulate, and they say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from vacc_deploy.vsx.errors import UnsupportedError


@dataclass
class FrameAttr:
    """Time stamps of a video frame."""

    frame_pts: int = 0
    frame_dts: int = 0


class _MediaEngine:
    """Refuses to be made, naming the engine and what to use instead."""

    instead = "OpenCV's cv2.VideoCapture"

    def __init__(self, *_: Any, **__: Any) -> NoReturn:
        raise UnsupportedError(
            f"vaststreamx.{type(self).__name__} is a media engine of the card, which is not emulated",
            why="the emulation covers the vdsp operators and the networks",
            hint=f"do it on the host ({self.instead}) and hand pictures over with vsx.create_image",
        )


class VideoCapture(_MediaEngine):
    """Decodes a video file or stream on the card."""


class VideoDecoder(_MediaEngine):
    """Decodes H.264, H.265 and AV1 packets on the card."""


class MediaSource(_MediaEngine):
    """Splits a media file into packets."""


class VideoWriter(_MediaEngine):
    """Encodes a video file on the card."""

    instead = "cv2.VideoWriter"


class VideoEncoder(_MediaEngine):
    """Encodes H.264, H.265 and AV1 packets on the card."""

    instead = "cv2.VideoWriter"


class JpegDecoder(_MediaEngine):
    """Decodes JPEG files on the card."""

    instead = "cv2.imdecode"


class JpegEncoder(_MediaEngine):
    """Encodes JPEG files on the card."""

    instead = "cv2.imencode"
