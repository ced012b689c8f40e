"""All hostile files, by name."""

from __future__ import annotations

from attack import Attack
from hostile_arrays import ARRAY_ATTACKS
from hostile_checkpoints import CHECKPOINT_ATTACKS
from hostile_models import MODEL_ATTACKS
from hostile_pictures import PICTURE_ATTACKS
from hostile_text import TEXT_ATTACKS

CORPUS: dict[str, Attack] = {
    **TEXT_ATTACKS,
    **ARRAY_ATTACKS,
    **CHECKPOINT_ATTACKS,
    **MODEL_ATTACKS,
    **PICTURE_ATTACKS,
}
