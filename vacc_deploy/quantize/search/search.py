"""Find the layers that int8 hurts most, and leave just those in fp16.

1. Light: all layers without MACs (additions, tables) go to fp16 together, if that lowers the drop.
   Weights are rounded and channels corrected anew then, and again after 4.
2. Rank: every int8 layer with MACs is put into fp16 by itself, in place; the drop it wins back is its
   gain. Layers that are noisiest on float input go first, so that an early stop has seen the worst ones.
3. Tune: the tensors that the layers with the most gain read get other thresholds, which costs no MACs at
   all; what lowers the drop stays. A deep network bears clipping of what is rare far better than coarse
   steps everywhere, which no single layer's error can tell.
4. Spend: the layers with the most gain per multiply-accumulate go to fp16. How many of them are needed is
   found by bisection.
5. Win back: whoever turned out not to be needed returns to int8, the most expensive first, in groups
   that halve where a whole group cannot go.

The pictures scored on are few, and others may lose more; so whatever costs no MACs (1 and 3) goes on down
to three fifths of the limit. MACs are spent for the limit itself.

The best network so far is kept throughout; `trials` does that, and lets an interrupted search resume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vacc_deploy.quantize.search.trials import OutOfTimeError, Trials
from vacc_deploy.quantize.table import CalibrationTable, TensorEntry

_FREE = 0.002  # a layer without MACs still costs memory traffic: what that weighs against MACs
_RANKING_TIME = 0.35  # of the time limit
_TUNING_TIME = 0.5  # of the time limit
_TUNING_GAIN = 0.04  # of the drop, that a threshold has to win: less is fitted to the pictures scored on
_NARROWER = 0.85  # of the present range, as often as it helps
_WIDER = 1.2  # likewise, where narrower did not help; never past the extremes


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The table with the precisions found, and how it got there.

    Attributes:
        table: The best table; its layers carry gains and reasons.
        drop_db: What it loses.
        start_drop_db: What the network lost before the search.
        int8_share: Fraction of the MACs in int8.
        reached: Whether the drop is within the limit.
        out_of_time: Whether the time limit ended the search.
        moved: Layers that the search put into fp16.
    """

    table: CalibrationTable
    drop_db: float
    start_drop_db: float
    int8_share: float
    reached: bool
    out_of_time: bool
    moved: tuple[str, ...]


class Search:
    """A search over the precisions of one model.

    Args:
        trials: What tries networks and keeps the best.
        order: Layer names, the likeliest culprits first; graph order by default.
        correct: Measures a table's corrections anew, for the precisions that it now has.
    """

    def __init__(
        self,
        trials: Trials,
        *,
        order: list[str] | None = None,
        correct: Callable[[CalibrationTable], CalibrationTable] | None = None,
    ) -> None:
        self.trials = trials
        self.correct = correct
        self.max_drop_db, self.aim_db, self.macs = trials.max_drop_db, trials.aim_db, trials.macs
        int8 = trials.plan(trials.variant.table).int8
        movable = [
            layer.name
            for layer in trials.layers
            if layer.kind in ("mac", "arithmetic", "table")
            and layer.name in int8
            and not trials.variant.table.layers[layer.name].why.startswith("user")
        ]
        ranked = [name for name in order or [] if name in set(movable)]
        self.movable = ranked + [name for name in movable if name not in set(ranked)]
        self.base: frozenset[str] = frozenset()  # layers without MACs in fp16, if they help
        self.ranked_all = True

    def run(self) -> SearchResult:
        """Search; returns the best network found within the limits."""
        gains: dict[str, float] = {}
        out_of_time = False
        start = self.trials.measure(frozenset(), "start", "")
        try:
            drop = self._lighten(start)
            if drop > self.aim_db:
                self._rank(drop, gains)
                self._spend(self._tune(drop, gains), gains)
                self._correct(*self.trials.best)
            self._win_back()
        except OutOfTimeError:
            out_of_time = True
        return self._result(start, gains, out_of_time or not self.ranked_all)

    def _lighten(self, start: float) -> float:
        """Put the layers without MACs into fp16 if that helps; returns the drop left."""
        light = frozenset(name for name in self.movable if self.macs[name] == 0)
        if start <= self.aim_db or not light:
            return start
        before = self.trials.variant
        together = self._correct(
            light, self.trials.measure(light, "light", f"{len(light)} layers without MACs")
        )
        if together >= start:
            self.trials.variant = before
            return start
        self.base = light
        return together

    def _correct(self, moved: frozenset[str], drop: float) -> float:
        """Measure corrections anew with `moved` in fp16; keep them if that helps. Returns the drop left."""
        if self.correct is None or not moved or self.trials.late(1.0):
            return drop
        before = self.trials.variant
        renewed = self.correct(before.with_fp16(moved)).layers
        layers = {
            name: replace(
                entry,
                gain=renewed[name].gain,
                bias_shift=renewed[name].bias_shift,
                rounding=renewed[name].rounding,
            )
            for name, entry in before.table.layers.items()
        }
        self.trials.variant = replace(
            before,
            table=replace(before.table, layers=layers),
            corrected_for=f"corrected for {' '.join(sorted(moved))}",
        )
        after = self.trials.measure(moved, "correct", f"{len(moved)} layers in fp16")
        if after < drop:
            return after
        self.trials.variant = before
        return drop

    def _rank(self, start: float, gains: dict[str, float]) -> None:
        for name in self.movable:
            if name in self.base:
                continue
            if self.trials.late(_RANKING_TIME):
                self.ranked_all = False
                return
            gains[name] = start - self.trials.measure(self.base | {name}, "rank", name)

    def _tune(self, start: float, gains: dict[str, float]) -> float:
        """Other thresholds, for what the layers with the most gain read first; returns the drop left."""
        drop = start
        layers = {layer.name: layer for layer in self.trials.layers}
        plan = self.trials.plan(self.trials.variant.table)
        seen: set[str] = set()
        for reader in sorted(gains, key=lambda n: (-gains[n], n)):
            for name in layers[reader].inputs:
                root = plan.root.get(name, name)
                entry = self.trials.variant.table.tensors.get(root)
                if root in seen or entry is None or name not in plan.quantized:
                    continue
                seen.add(root)
                if entry.note.startswith("holds a picture"):
                    continue
                for factor in (_NARROWER, _WIDER):
                    tuned = self._descend(root, factor, drop, reader)
                    if tuned < drop:
                        drop = tuned
                        break
                if drop <= self.aim_db or self.trials.late(_TUNING_TIME):
                    return drop
        return drop

    def _descend(self, root: str, factor: float, drop: float, reader: str) -> float:
        """Scale the range of tensor `root` as long as that lowers the drop; returns the drop left."""
        while True:
            before = self.trials.variant
            entry = before.tuned.get(root, before.table.tensors[root])
            scaled = _scaled(entry, factor)
            if (scaled.low, scaled.high) == (entry.low, entry.high):
                return drop
            self.trials.variant = replace(before, tuned={**before.tuned, root: scaled})
            trial = self.trials.measure(self.base, "tune", reader)
            if trial > (1 - _TUNING_GAIN) * drop:
                self.trials.variant = before
                return drop
            drop = trial

    def _spend(self, start: float, gains: dict[str, float]) -> None:
        if start <= self.max_drop_db:
            return
        order = sorted(
            (n for n in gains if gains[n] > 0),
            key=lambda n: (-gains[n] / (self.macs[n] / self.trials.total_macs + _FREE), n),
        )
        few, many = 0, len(order)  # too few; perhaps enough
        while many - few > 1:
            middle = (few + many) // 2
            trial = self.trials.measure(self.base | {*order[:middle]}, "spend", f"{middle} layers")
            if trial <= self.max_drop_db:
                many = middle
            else:
                few = middle
        self.trials.measure(self.base | {*order[:many]}, "spend", f"{many} layers")

    def _win_back(self) -> None:
        if self.trials.best[1] > self.max_drop_db:
            return
        heavy = sorted((n for n in self.trials.best[0] if self.macs[n]), key=lambda n: (-self.macs[n], n))
        light = sorted(n for n in self.trials.best[0] if not self.macs[n])
        for name in heavy:
            self.trials.measure(self.trials.best[0] - {name}, "win back", name)
        groups = [light] if light else []
        while groups:
            group = groups.pop(0)
            left = self.trials.best[0] - {*group}
            self.trials.measure(left, "win back", group[0] if len(group) == 1 else f"{len(group)} layers")
            if self.trials.best[0] != left and len(group) > 1:
                groups += [group[: len(group) // 2], group[len(group) // 2 :]]

    def _result(self, start: float, gains: dict[str, float], out_of_time: bool) -> SearchResult:
        moved, drop = self.trials.best
        table = self.trials.best_table
        for name, gain in gains.items():
            layers = {**table.layers, name: replace(table.layers[name], gain_db=gain)}
            table = replace(table, layers=layers)
        for name in sorted(moved):
            share = 100 * self.macs[name] / self.trials.total_macs
            why = f"search: in fp16 {gains.get(name, 0.0):+.3f} dB for {share:.2f} % of the MACs"
            table = table.with_precision(name, "fp16", why)
        return SearchResult(
            table=table,
            drop_db=drop,
            start_drop_db=start,
            int8_share=self.trials.int8_share(table),
            reached=drop <= self.max_drop_db,
            out_of_time=out_of_time,
            moved=tuple(layer.name for layer in self.trials.layers if layer.name in moved),
        )


def _scaled(entry: TensorEntry, factor: float) -> TensorEntry:
    """`entry` with its range scaled, within the extremes seen; its clipping is not measured again."""
    lowest, highest = min(0.0, entry.minimum), max(0.0, entry.maximum)
    if entry.low == -entry.high:  # symmetric
        lowest, highest = -max(-lowest, highest), max(-lowest, highest)
    low, high = max(factor * entry.low, lowest), min(factor * entry.high, highest)
    method = entry.method if "tuned" in entry.method else f"{entry.method}, tuned"
    return replace(entry, low=low, high=high, method=method, note="search: lowers the drop")
