"""The protocols that scripts and recipes name; a name that is gone breaks both."""

from __future__ import annotations

import pytest

from vacc_deploy.evaluate import get_protocol
from vacc_deploy.evaluate.protocol import protocols

# Name → (scale whose pictures alone count, whether low-resolution pictures are given or made)
PROTOCOLS: dict[str, tuple[int | None, str]] = {
    "fsrnet": (None, "optional"),
    "fsrnet_vsx": (None, "optional"),
    "gpen": (None, "optional"),
    "gpen_color": (None, "optional"),
    "gpen_vamp": (None, "optional"),
    "lesrcnn_official": (None, "needed"),
    "lesrcnn_vamp": (None, "needed"),
    "lesrcnn_vsx": (None, "needed"),
    "lesrcnn_vsx_area": (None, "needed"),
    "rgb": (None, "needed"),
    "sparnet": (None, "optional"),
    "sparnet_vendor": (None, "optional"),
    "vdsr_multisize": (None, "made"),
    "vdsr_multisize_x2": (None, "made"),
    "vdsr_multisize_x3": (None, "made"),
    "vdsr_pil": (4, "needed"),
    "vdsr_vamp": (4, "needed"),
    "vdsr_vsx": (4, "needed"),
}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol(name: str) -> None:
    protocol = get_protocol(name)
    assert (protocol.scale, protocol.low_resolution) == PROTOCOLS[name]
    assert protocol.summary


def test_the_table_is_complete() -> None:
    assert sorted(PROTOCOLS) == sorted(protocols())
