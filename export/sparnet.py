"""SPARNet (Chen et al., TIP 2020): face super-resolution by spatial attention, three published networks.

The faces come enlarged to final size.  They were enlarged by bicubic interpolation in training; the vendor's
configuration enlarges bilinearly, which costs accuracy (protocol ``sparnet`` and its variant).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vacc_deploy.export.recipe import BuildSettings, Recipe
from vacc_deploy.export.registry import register
from vacc_deploy.export.sparnet_network import SPARNet
from vacc_deploy.processing import Postprocess, Preprocess

_GAINS = {
    r"out_conv\.conv2d\.weight": 0.35,
    r".*shortcut_func\.conv2d\.weight": 0.6,
    r"(.*\.)?conv2\.conv2d\.weight": 0.5,
    r".*out_block\.0\.conv2d\.weight": 0.5,
}
_HD_GAINS = {r"(.*\.)?conv2\.norm\.norm\.weight": 0.6}


def _register(
    variant: str,
    title: str,
    build: Callable[[], SPARNet],
    size: int,
    gains: dict[str, float],
    settings: BuildSettings,
    proof_tolerance: float = 1e-4,
) -> None:
    register(
        Recipe(
            name="sparnet",
            variant=variant,
            title=title,
            build=build,
            input_shape=(1, 3, size, size),
            preprocess=Preprocess(size=(size, size), mean=(0.5,) * 3, std=(0.5,) * 3),
            postprocess=Postprocess(scale=127.5, shift=127.5),
            protocol="sparnet",
            paper="Chen et al.: Learning Spatial Attention for Face Super-Resolution, IEEE TIP 2020",
            licence="official code (chaofengc/Face-SPARNet): CC BY-NC-SA 4.0, not for commercial use",
            seeded_gains=gains,
            proof_tolerance=proof_tolerance,
            settings=settings,
        )
    )


_register(
    "light_attn3d",
    "SPARNet-Light-Attn3D: restores 16x16 faces at 128x128, light",
    partial(SPARNet, 128, 128, 16, 1, "spar3d"),
    128,
    _GAINS,
    BuildSettings(
        config="official_sparnet",
        vdsp="official-sparnet_light_attn3d",
        name="sparnet_light_attn3d",
        dataset="/path/to/Helen_test_DIC/LR",
        suffix=None,
        count=500,
    ),
)
_register(
    "full",
    "SPARNet: restores 16x16 faces at 128x128",
    partial(SPARNet, 128, 128, 16, 10, "spar"),
    128,
    _GAINS,
    BuildSettings(
        config="official_sparnet_full",
        vdsp="official-sparnet_full",
        dataset="/path/to/Helen_test_DIC/LR",
        suffix=None,
        count=500,
    ),
)
_register(
    "hd_attn3d",
    "SPARNetHD-Attn3D: restores 512x512 faces",
    partial(SPARNet, 512, 512, 32, 10, "spar3d", "instance", spectral=True),
    512,
    _HD_GAINS,
    BuildSettings(
        config="official_sparnet_hd",
        vdsp="official-sparnet_hd_attn3d",
        dataset="/path/to/CelebAMask-HQ/test_img",
        suffix="jpg",
    ),
    # Every convolution is followed by InstanceNorm, whose float32 sums over 512×512 pixels depend on their
    # order; 167 of them in a row amplify that.
    proof_tolerance=1e-3,
)
