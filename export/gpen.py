"""GPEN (Yang et al., CVPR 2021): restores and colours faces with a StyleGAN2 generator inside.

Restoration and colorization share the network at 512×512 and differ in checkpoint and protocol; the narrow
256×256 variant is the authors' light one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from vacc_deploy.export.gpen_network import GPEN
from vacc_deploy.export.recipe import BuildSettings, Recipe
from vacc_deploy.export.registry import register
from vacc_deploy.processing import Postprocess, Preprocess

# What the vendor's build configuration sets beside the common keys.
_QUANTIZE = {
    "weight_scale": "power2",
    "output_ddr": [-1],
    "exclude_layers": list(range(15, 26)),
    "quantize_mode": "manual",
}
_COMPILE = {"output_ddr": [-1, 1], "switch_lhs_rhs": True, "opt_level": 2, "data_type": 0}


def _settings(config: str, vdsp: str, dataset: str, quantize: dict[str, Any]) -> BuildSettings:
    return BuildSettings(
        config=config,
        vdsp=vdsp,
        frontend="pytorch",
        dataset=dataset,
        suffix="jpg",
        calibrate_mode="mse",
        quantize=quantize,
        compile=_COMPILE,
    )


def _register(
    variant: str,
    title: str,
    size: int,
    multiplier: int,
    narrow: float,
    protocol: str,
    rgb_gain: float,
    settings: BuildSettings,
) -> None:
    register(
        Recipe(
            name="gpen",
            variant=variant,
            title=title,
            build=partial(GPEN, size, multiplier, narrow),
            input_shape=(1, 3, size, size),
            preprocess=Preprocess(size=(size, size), mean=(0.5,) * 3, std=(0.5,) * 3),
            postprocess=Postprocess(scale=127.5, shift=127.5),
            protocol=protocol,
            paper="Yang et al.: GAN Prior Embedded Network for Blind Face Restoration in the Wild, CVPR 2021",
            licence="official code and weights (yangxy/GPEN): no licence stated, formerly academic use only",
            seeded_gains={r"generator\.style\.": 100.0, r"generator\.to_rgb.*\.conv\.weight": rgb_gain},
            settings=settings,
        )
    )


_HQ = "/path/to/CelebAMask-HQ/test_img"
_register(
    "512", "GPEN-BFR-512: restores 512x512 faces", 512, 2, 1.0, "gpen", 0.4,
    _settings("official_gpen", "official-gpen", _HQ, _QUANTIZE),
)  # fmt: skip
_register(
    "512_colorization", "GPEN-Colorization-512: colours grey 512x512 faces", 512, 2, 1.0,
    "gpen_colorization", 0.4,
    _settings("official_gpen_colorization", "official-gpen", "/path/to/GPEN/hq_gray", _QUANTIZE),
)  # fmt: skip
_register(
    "256", "GPEN-BFR-256 narrow: restores 256x256 faces, light", 256, 1, 0.5, "gpen", 0.35,
    _settings("official_gpen_256", "official-gpen_256", _HQ, {"weight_scale": "power2"}),
)  # fmt: skip
