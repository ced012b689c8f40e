"""Input shapes given as flags, brought together with the inputs that a model or a build YAML has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vacc_deploy.config.suggest import hint_for
from vacc_deploy.errors import ConfigError

Shape = tuple[int, ...]
GivenShape = tuple[str, Shape]
"""An input's name, or "" for the next input in order, and its shape with or without the batch."""

_PICTURE_RANK = 4  # batch, channels, height, width


def match_shapes(
    given: Sequence[GivenShape], ranks: Mapping[str, int | None], where: str
) -> dict[str, Shape]:
    """Input name → shape, with the batch, for the inputs that shapes are given for.

    Args:
        given: The flags, in order.
        ranks: Input name → number of dimensions, None where unknown: then three numbers are C, H, W.
        where: The model file or build YAML, for messages.

    Raises:
        ConfigError: A name is unknown or given twice, or there are more shapes than inputs.
    """
    matched: dict[str, Shape] = {}
    for name, shape in given:
        found = name or next((other for other in ranks if other not in matched), None)
        if found is None:
            raise ConfigError(
                "--shape gives more shapes than there are inputs",
                where=where,
                why=f"inputs: {', '.join(ranks)}",
                hint="give one shape per input: --shape NAME:1,3,512,512",
            )
        if found not in ranks:
            raise ConfigError(f"--shape: there is no input '{name}'", where=where, hint=hint_for(name, ranks))
        if found in matched:
            raise ConfigError(
                f"--shape gives input '{found}' two shapes", where=where, hint="an artifact has one: keep one"
            )
        matched[found] = with_batch(shape, ranks[found])
    return matched


def with_batch(shape: Shape, rank: int | None) -> Shape:
    """The shape with a batch of 1 in front where it lacks the batch.

    Example:
        >>> with_batch((3, 512, 512), 4)
        (1, 3, 512, 512)
        >>> with_batch((1, 77, 768), 3)
        (1, 77, 768)
    """
    return (1, *shape) if len(shape) == (rank or _PICTURE_RANK) - 1 else shape
