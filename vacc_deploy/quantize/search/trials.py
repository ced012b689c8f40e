"""Networks that a search tries: what each of them loses, and which is the best so far.

Every measured drop goes into a journal, so an interrupted search picks up where it stopped: it repeats its
steps and finds the answers already there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from vacc_deploy.quantize.layers import find_layers
from vacc_deploy.quantize.plan import Plan, plan_for
from vacc_deploy.quantize.score import Score, quantized_runner
from vacc_deploy.quantize.search.journal import Journal
from vacc_deploy.quantize.table import CalibrationTable, TensorEntry

Progress = Callable[["Measurement"], None]

_SPARE = 0.6  # of the limit: other pictures lose more than the few that are scored on


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


class OutOfTimeError(Exception):
    """The time limit has passed."""


@dataclass(frozen=True, slots=True)
class Variant:
    """All that makes a quantised network but its precisions; a search puts one back that it cannot improve.

    Attributes:
        table: The table, precisions and tuned thresholds aside.
        tuned: Thresholds that stand for the table's, by tensor.
        corrected_for: Which precisions the corrections in `table` were measured with, in words.
    """

    table: CalibrationTable
    tuned: Mapping[str, TensorEntry] = field(default_factory=dict)
    corrected_for: str = ""

    def with_fp16(self, moved: frozenset[str]) -> CalibrationTable:
        """The table with tuned thresholds, and `moved` in fp16."""
        table = replace(self.table, tensors={**self.table.tensors, **self.tuned})
        for name in sorted(moved):
            table = table.with_precision(name, "fp16", "search")
        return table

    def key(self, moved: frozenset[str]) -> str:
        """What the journal calls the network with `moved` in fp16."""
        tuned = [f"{n}={e.low.hex()}:{e.high.hex()}" for n, e in sorted(self.tuned.items())]
        return "|".join([*sorted(moved), *tuned, *filter(None, [self.corrected_for])])


class Trials:
    """One model, tried as tables that change from trial to trial quantise it.

    Args:
        model: Float model.
        table: Calibrated table to start from.
        score: What a network loses.
        max_drop_db: The drop to reach.
        time_limit_s: No new trials after this many seconds; none for no limit.
        journal: File that makes the trials resumable.
        progress: Called after every trial.
        threads: Threads of ONNX Runtime.
        clock: Seconds; for tests.

    Attributes:
        aim_db: Down to this drop a smaller one is better, among networks with as many MACs in int8.
        variant: What the next trial quantises by.
        best: The best network so far: its layers moved to fp16, and its drop.
        best_table: Its table, precisions aside.
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
        progress: Progress | None = None,
        threads: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.score = model, score
        self.variant = Variant(table)
        self.max_drop_db, self.aim_db, self.time_limit_s = max_drop_db, _SPARE * max_drop_db, time_limit_s
        self.progress, self.threads, self.clock = progress, threads, clock
        self.layers = find_layers(model)
        self.macs = {layer.name: layer.macs for layer in self.layers}
        self.total_macs = max(sum(self.macs.values()), 1)
        digest = hashlib.sha256(table.to_json().encode()).hexdigest()
        self.journal = Journal(table.model_digest, digest, journal)
        self.journal.load()
        self.started = clock()
        self.best: tuple[frozenset[str], float] = (frozenset(), float("inf"))
        self.best_table = table

    def plan(self, table: CalibrationTable) -> Plan:
        """The plan that `table` implies."""
        return plan_for(self.layers, table, [str(v.name) for v in self.model.graph.outputs])

    def int8_share(self, table: CalibrationTable) -> float:
        """The fraction of the MACs that `table` runs in int8."""
        int8 = self.plan(table).int8
        return sum(layer.macs for layer in self.layers if layer.name in int8) / self.total_macs

    def measure(self, moved: frozenset[str], phase: str, layer: str) -> float:
        """The drop with `moved` in fp16; keeps the best.

        Raises:
            OutOfTimeError: The limit has passed and the answer is not in the journal.
        """
        key, table = self.variant.key(moved), self.variant.with_fp16(moved)
        if key in self.journal.drops:
            drop = self.journal.drops[key]
        else:
            if moved and self.late(1.0):
                raise OutOfTimeError
            drop = self.score(quantized_runner(self.model, table, self.threads))
            self.journal.add(key, drop)
        if self._better(moved, drop):
            self.best, self.best_table = (moved, drop), self.variant.with_fp16(frozenset())
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

    def late(self, share: float) -> bool:
        """Whether `share` of the time limit has passed."""
        return self.time_limit_s is not None and self.clock() - self.started > share * self.time_limit_s
