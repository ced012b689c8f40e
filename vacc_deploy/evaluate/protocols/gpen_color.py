"""GPEN colorization: gray faces in, RGB PSNR against the colour ones."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vacc_deploy.data.resize import resize
from vacc_deploy.evaluate.degrade import jpeg
from vacc_deploy.evaluate.protocol import protocol
from vacc_deploy.evaluate.protocols.gpen import Gpen


@protocol("gpen_color", "GPEN colorization: faces made gray and stored as JPEG, float output, RGB (zoo)")
class GpenColor(Gpen):
    """As `Gpen`, with the zoo's ``hq_gray`` in place of the degradation; nothing about it is random."""

    def _degrade(self, high: NDArray[np.uint8], name: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        del name
        gray = cv2.cvtColor(resize(high, size, "bilinear_cv"), cv2.COLOR_RGB2GRAY)
        return jpeg(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB))
