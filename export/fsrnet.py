"""FSRNet (Chen et al., CVPR 2018): restores faces that were shrunk eightfold, guided by parsing maps.

The official evaluation never switched BatchNorm to inference mode, so its published 22.5 dB belongs to the
network that normalises with the statistics of the picture at hand.  That network is the default,
``--norm batch``; at batch 1 it is InstanceNorm.  ``--norm running`` uses the checkpoint's running statistics,
which mix all passes through the shared residual blocks and fit none: the vendor's 18.9 dB.
"""

from __future__ import annotations

from functools import partial

from vacc_deploy.export.fsrnet_network import FSRNet, Norm
from vacc_deploy.export.recipe import BuildSettings, Recipe
from vacc_deploy.export.registry import register
from vacc_deploy.processing import Postprocess, Preprocess

_SETTINGS = BuildSettings(
    config="official_fsrnet",
    vdsp="official-fsrnet",
    dataset="/path/to/CelebAMask-HQ/test_img",
    suffix="jpg",
    calibration_resizes=((16, "bicubic"), (128, "bicubic")),
)
_GAINS = {
    r".*layers\.5\.weight": 0.12,
    r".*convBlock\.8\.weight": 0.12,
    r"fsr_enc\.conv2\.1\.weight": 0.2,
    r"fsr_dec\.conv2\.1\.weight": 0.06,
    r"csr_net\.conv2\.1\.weight": 0.6,
    r"prior_conv2\.weight": 0.06,
}


def _register(norm: Norm, statistics: str, settings: BuildSettings | None) -> None:
    register(
        Recipe(
            name="fsrnet",
            variant=norm,
            title=f"FSRNet: restores 16x16 faces at 128x128, normalised by {statistics}",
            build=partial(FSRNet, norm),
            input_shape=(1, 3, 128, 128),
            size_step=16,
            output_names=("coarse", "prior", "fine"),
            preprocess=Preprocess(size=(128, 128), divisor=1.0, mean=(127.5,) * 3, std=(127.5,) * 3),
            postprocess=Postprocess(scale=127.5, shift=127.5, output=2),
            protocol="fsrnet",
            paper="Chen et al.: FSRNet: End-to-End Face Super-Resolution with Facial Priors, CVPR 2018",
            licence="official PyTorch code (cs-giung/FSRNet-pytorch): no licence stated",
            seeded_gains=_GAINS,
            settings=settings,
        )
    )


_register("batch", "the picture's own statistics", _SETTINGS)
_register("running", "the checkpoint's running statistics", None)
