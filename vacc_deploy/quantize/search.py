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
to half the limit. MACs are spent for the limit itself.

The best network so far is kept throughout. Every measured drop goes into a journal, so an interrupted
search picks up where it stopped: it repeats its steps and finds the answers already there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from vacc_deploy.quantize.journal import Journal
from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.plan import Plan
from vacc_deploy.quantize.qdq import plan_for, quantize
from vacc_deploy.quantize.score import Score, runner
from vacc_deploy.quantize.side_by_side import runs_on_crops
from vacc_deploy.quantize.table import CalibrationTable, TensorEntry
from vacc_deploy.quantize.unsigned import to_unsigned

Progress = Callable[["Measurement"], None]

_FREE = 0.002  # a layer without MACs still costs memory traffic: what that weighs against MACs
_RANKING_TIME = 0.35  # of the time limit
_TUNING_TIME = 0.5  # of the time limit
_SPARE = 0.5  # of the limit: other pictures lose more than the few that are scored on
_TUNING_GAIN = 0.04  # of the drop, that a threshold has to win: less is fitted to the pictures scored on
_NARROWER = 0.85  # of the present range, as often as it helps
_WIDER = 1.2  # likewise, where narrower did not help; never past the extremes


@dataclass(frozen=True, slots=True)
class Measurement:
    """One network that was tried.

    Attributes:
        drop_db: What it loses.
        int8_share: Fraction of the MACs in int8.
        phase: ``start``, ``light``, ``correct``, ``rank``, ``tune``, ``spend`` or ``win back``.
        layer: The layer that was moved.
        elapsed_s: Seconds since the search began.
        best_drop_db: The best network's drop so far.
    """

    drop_db: float
    int8_share: float
    phase: str
    layer: str
    elapsed_s: float
    best_drop_db: float


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


class _OutOfTimeError(Exception):
    """The time limit has passed."""


class Search:
    """A search over the precisions of one model.

    Args:
        model: Float model.
        table: Calibrated table to start from.
        score: What a network loses.
        max_drop_db: The drop to reach.
        time_limit_s: Stop after this many seconds; none for no limit.
        journal: File that makes the search resumable.
        order: Layer names, the likeliest culprits first; graph order by default.
        progress: Called after every measurement.
        threads: Threads of ONNX Runtime.
        clock: Seconds; for tests.
        correct: Measures a table's corrections anew, for the precisions that it now has.
    """

    def __init__(
        self,
        model: ir.Model,
        table: CalibrationTable,
        score: Score,
        *,
        max_drop_db: float,
        time_limit_s: float | None = None,
        journal: Path | None = None,
        order: list[str] | None = None,
        progress: Progress | None = None,
        threads: int = 2,
        clock: Callable[[], float] = time.monotonic,
        correct: Callable[[CalibrationTable], CalibrationTable] | None = None,
    ) -> None:
        self.model, self.table, self.score, self.max_drop_db = model, table, score, max_drop_db
        self.time_limit_s, self.progress, self.threads, self.clock = time_limit_s, progress, threads, clock
        self.layers = find_layers(model)
        self.total = max(sum(layer.macs for layer in self.layers), 1)
        self.macs = {layer.name: layer.macs for layer in self.layers}
        digest = hashlib.sha256(table.to_json().encode()).hexdigest()
        self.journal = Journal(table.model_digest, digest, journal)
        self.journal.load()
        self.aim_db = _SPARE * max_drop_db  # what is tried as long as it costs no MACs
        self.started = clock()
        self.any_size = runs_on_crops(model)
        movable = [
            layer.name
            for layer in self.layers
            if layer.kind in ("mac", "arithmetic", "table")
            and layer.name in self._plan(table).int8
            and not table.layers[layer.name].why.startswith("user")
        ]
        ranked = [name for name in order or [] if name in set(movable)]
        self.movable = ranked + [name for name in movable if name not in set(ranked)]
        self.best: tuple[frozenset[str], float] = (frozenset(), float("inf"))
        self.base: frozenset[str] = frozenset()  # layers without MACs in fp16, if they help
        self.ranked_all = True
        self.ranges: dict[str, TensorEntry] = {}  # thresholds that tuning changed
        self.correct = correct
        self.corrected_for = ""  # the precisions that the corrections in `table` were measured with
        self.best_table = table  # precisions aside

    def _plan(self, table: CalibrationTable) -> Plan:
        return plan_for(self.layers, table, [str(v.name) for v in self.model.graph.outputs])

    def int8_share(self, table: CalibrationTable) -> float:
        """The fraction of the MACs that `table` runs in int8."""
        int8 = self._plan(table).int8
        return sum(layer.macs for layer in self.layers if layer.name in int8) / self.total

    def with_fp16(self, moved: frozenset[str]) -> CalibrationTable:
        """The starting table with tuned thresholds, and `moved` in fp16."""
        table = replace(self.table, tensors={**self.table.tensors, **self.ranges})
        for name in sorted(moved):
            table = table.with_precision(name, "fp16", "search")
        return table

    def measure(self, moved: frozenset[str], phase: str, layer: str) -> float:
        """The drop with `moved` in fp16; keeps the best.

        Raises:
            _OutOfTimeError: The limit has passed and the answer is not in the journal.
        """
        tuned = [f"{n}={e.low.hex()}:{e.high.hex()}" for n, e in sorted(self.ranges.items())]
        key = "|".join([*sorted(moved), *tuned, *filter(None, [self.corrected_for])])
        table = self.with_fp16(moved)
        if key in self.journal.drops:
            drop = self.journal.drops[key]
        else:
            if moved and self.time_limit_s is not None and self.clock() - self.started > self.time_limit_s:
                raise _OutOfTimeError
            drop = self.score(
                runner(to_unsigned(quantize(self.model, table)), self.threads, any_size=self.any_size)
            )
            self.journal.add(key, drop)
        if self._better(moved, drop):
            self.best, self.best_table = (moved, drop), self.with_fp16(frozenset())
        if self.progress:
            elapsed = self.clock() - self.started
            self.progress(Measurement(drop, self.int8_share(table), phase, layer, elapsed, self.best[1]))
        return drop

    def _better(self, moved: frozenset[str], drop: float) -> bool:
        """Within the limit fewer MACs in fp16 win, then drops down to the aim; beyond it, smaller drops."""
        best_moved, best_drop = self.best
        if (drop <= self.max_drop_db) != (best_drop <= self.max_drop_db):
            return drop <= self.max_drop_db
        if drop > self.max_drop_db:
            return drop < best_drop
        return self._cost(moved, drop) < self._cost(best_moved, best_drop)

    def _cost(self, moved: frozenset[str], drop: float) -> tuple[int, float, int, float]:
        return sum(self.macs[n] for n in moved), max(drop, self.aim_db), len(moved), drop

    def run(self) -> SearchResult:
        """Search; returns the best network found within the limits."""
        gains: dict[str, float] = {}
        out_of_time = False
        start = self.measure(frozenset(), "start", "")
        try:
            drop = self._lighten(start)
            if drop > self.aim_db:
                self._rank(drop, gains)
                self._spend(self._tune(drop, gains), gains)
                self._correct(*self.best)
            self._win_back()
        except _OutOfTimeError:
            out_of_time = True
        return self._result(start, gains, out_of_time or not self.ranked_all)

    def _late(self, share: float) -> bool:
        """Whether `share` of the time limit has passed."""
        return self.time_limit_s is not None and self.clock() - self.started > share * self.time_limit_s

    def _lighten(self, start: float) -> float:
        """Put the layers without MACs into fp16 if that helps; returns the drop left."""
        light = frozenset(name for name in self.movable if self.macs[name] == 0)
        if start <= self.aim_db or not light:
            return start
        before, before_for = self.table, self.corrected_for
        together = self._correct(light, self.measure(light, "light", f"{len(light)} layers without MACs"))
        if together >= start:
            self.table, self.corrected_for = before, before_for
            return start
        self.base = light
        return together

    def _correct(self, moved: frozenset[str], drop: float) -> float:
        """Measure corrections anew with `moved` in fp16; keep them if that helps. Returns the drop left."""
        if self.correct is None or not moved or self._late(1.0):
            return drop
        before, before_for = self.table, self.corrected_for
        renewed = self.correct(self.with_fp16(moved)).layers
        layers = {
            name: replace(
                entry,
                gain=renewed[name].gain,
                bias_shift=renewed[name].bias_shift,
                rounding=renewed[name].rounding,
            )
            for name, entry in before.layers.items()
        }
        self.table = replace(before, layers=layers)
        self.corrected_for = f"corrected for {' '.join(sorted(moved))}"
        after = self.measure(moved, "correct", f"{len(moved)} layers in fp16")
        if after < drop:
            return after
        self.table, self.corrected_for = before, before_for
        return drop

    def _rank(self, start: float, gains: dict[str, float]) -> None:
        for name in self.movable:
            if name in self.base:
                continue
            if self._late(_RANKING_TIME):
                self.ranked_all = False
                return
            gains[name] = start - self.measure(self.base | {name}, "rank", name)

    def _tune(self, start: float, gains: dict[str, float]) -> float:
        """Other thresholds, for what the layers with the most gain read first; returns the drop left."""
        drop = start
        layers = {layer.name: layer for layer in self.layers}
        plan = self._plan(self.table)
        seen: set[str] = set()
        for reader in sorted(gains, key=lambda n: (-gains[n], n)):
            for name in layers[reader].inputs:
                root = plan.root.get(name, name)
                entry = self.table.tensors.get(root)
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
                if drop <= self.aim_db or self._late(_TUNING_TIME):
                    return drop
        return drop

    def _descend(self, root: str, factor: float, drop: float, reader: str) -> float:
        """Scale the range of tensor `root` as long as that lowers the drop; returns the drop left."""
        while True:
            before = dict(self.ranges)
            entry = self.ranges.get(root, self.table.tensors[root])
            scaled = _scaled(entry, factor)
            if (scaled.low, scaled.high) == (entry.low, entry.high):
                return drop
            self.ranges[root] = scaled
            trial = self.measure(self.base, "tune", reader)
            if trial > (1 - _TUNING_GAIN) * drop:
                self.ranges = before
                return drop
            drop = trial

    def _spend(self, start: float, gains: dict[str, float]) -> None:
        if start <= self.max_drop_db:
            return
        order = sorted(
            (n for n in gains if gains[n] > 0),
            key=lambda n: (-gains[n] / (self.macs[n] / self.total + _FREE), n),
        )
        few, many = 0, len(order)  # too few; perhaps enough
        while many - few > 1:
            middle = (few + many) // 2
            trial = self.measure(self.base | {*order[:middle]}, "spend", f"{middle} layers")
            if trial <= self.max_drop_db:
                many = middle
            else:
                few = middle
        self.measure(self.base | {*order[:many]}, "spend", f"{many} layers")

    def _win_back(self) -> None:
        if self.best[1] > self.max_drop_db:
            return
        heavy = sorted((n for n in self.best[0] if self.macs[n]), key=lambda n: (-self.macs[n], n))
        light = sorted(n for n in self.best[0] if not self.macs[n])
        for name in heavy:
            self.measure(self.best[0] - {name}, "win back", name)
        groups = [light] if light else []
        while groups:
            group = groups.pop(0)
            left = self.best[0] - {*group}
            self.measure(left, "win back", group[0] if len(group) == 1 else f"{len(group)} layers")
            if self.best[0] != left and len(group) > 1:
                groups += [group[: len(group) // 2], group[len(group) // 2 :]]

    def _result(self, start: float, gains: dict[str, float], out_of_time: bool) -> SearchResult:
        moved, drop = self.best
        table = self.best_table
        for name, gain in gains.items():
            layers = {**table.layers, name: replace(table.layers[name], gain_db=gain)}
            table = replace(table, layers=layers)
        for name in sorted(moved):
            share = 100 * self.macs[name] / self.total
            why = f"search: in fp16 {gains.get(name, 0.0):+.3f} dB for {share:.2f} % of the MACs"
            table = table.with_precision(name, "fp16", why)
        return SearchResult(
            table=table,
            drop_db=drop,
            start_drop_db=start,
            int8_share=self.int8_share(table),
            reached=drop <= self.max_drop_db,
            out_of_time=out_of_time,
            moved=tuple(layer.name for layer in self.layers if layer.name in moved),
        )


def _scaled(entry: TensorEntry, factor: float) -> TensorEntry:
    """`entry` with its range scaled, within the extremes seen; its clipping is not measured again."""
    lowest, highest = min(0.0, entry.minimum), max(0.0, entry.maximum)
    if entry.low == -entry.high:  # symmetric
        lowest, highest = -max(-lowest, highest), max(-lowest, highest)
    low, high = max(factor * entry.low, lowest), min(factor * entry.high, highest)
    method = entry.method if "tuned" in entry.method else f"{entry.method}, tuned"
    return replace(entry, low=low, high=high, method=method, note="search: lowers the drop")
