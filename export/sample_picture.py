"""A real picture for proofs and examples: one of scikit-image's, prepared as a recipe asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vacc_deploy.config.recipe_ops import process_ops
from vacc_deploy.data.process_ops import apply_process_ops
from vacc_deploy.export.recipe import Recipe


def astronaut() -> NDArray[np.uint8]:
    """NASA's public-domain portrait of Eileen Collins, 512×512×3 RGB."""
    import skimage
    from PIL import Image

    with Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png") as file:
        return np.asarray(file.convert("RGB"))


def sample_input(recipe: Recipe) -> torch.Tensor:
    """The picture as the recipe's network input, (1, C, H, W) float32."""
    picture = astronaut()
    return torch.from_numpy(apply_process_ops(picture, process_ops(recipe.preprocess), recipe.input_shape))
