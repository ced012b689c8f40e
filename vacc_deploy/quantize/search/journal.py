"""The diary of a precision search: what was measured already, so that an interrupted one resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from vacc_deploy.errors import FileError
from vacc_deploy.safe_io import read_json, write_text_atomic


@dataclass(slots=True)
class Journal:
    """Drops already measured, by the fp16 layers of the network; on disk if it has a path."""

    model: str
    table: str
    path: Path | None = None
    drops: dict[str, float] = field(default_factory=dict)

    def load(self) -> None:
        """Take over a journal of the same model and table; any other one is ignored."""
        if self.path is None or not self.path.is_file():
            return
        try:
            data = read_json(self.path)
        except FileError:
            return
        if data.get("model") == self.model and data.get("table") == self.table:
            self.drops = {str(k): float(v) for k, v in data.get("drops", {}).items()}

    def add(self, key: str, drop_db: float) -> None:
        """Write one more result down."""
        self.drops[key] = drop_db
        if self.path is not None:
            data = {"model": self.model, "table": self.table, "drops": self.drops}
            write_text_atomic(self.path, json.dumps(data, indent=1) + "\n")
