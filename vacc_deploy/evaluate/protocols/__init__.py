"""The published protocols, one family per file; importing this package registers them all."""

from vacc_deploy.evaluate.protocols import (
    fsrnet,
    gpen,
    gpen_color,
    lesrcnn_official,
    lesrcnn_zoo,
    rgb,
    sparnet,
    vdsr_fixed,
    vdsr_multisize,
)

__all__ = [
    "fsrnet",
    "gpen",
    "gpen_color",
    "lesrcnn_official",
    "lesrcnn_zoo",
    "rgb",
    "sparnet",
    "vdsr_fixed",
    "vdsr_multisize",
]
