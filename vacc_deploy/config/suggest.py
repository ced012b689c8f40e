"""“Did you mean …?” for keys and values."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: object, known: Iterable[object]) -> str | None:
    """The known word that `word` probably stands for, or None."""
    names = sorted(str(name) for name in known)
    by_folded = {name.lower().replace("-", "_"): name for name in names}
    folded = str(word).lower().replace("-", "_")
    if folded in by_folded:
        return by_folded[folded]
    close = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def hint_for(word: object, known: Iterable[object]) -> str:
    """A hint for an unknown word: the likely one, else all known ones."""
    names = sorted(str(name) for name in known)
    close = did_you_mean(word, names)
    return f"did you mean '{close}'?" if close else "one of: " + ", ".join(names)
