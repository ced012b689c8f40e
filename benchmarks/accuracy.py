"""What int8 costs in decibels: the whole table of docs/accuracy.md in one go.

    python benchmarks/accuracy.py                        # measure what is missing, write docs/accuracy.md
    python benchmarks/accuracy.py --only vdsr --again    # measure one network anew

Every figure of ours is of the compiled artifact, run through `vacc_deploy.evaluate`. Calibration and the
precision search see scikit-image's photographs only; Set5 is measured once, at the end. The face networks
have seeded weights, so they are measured by fidelity: five faces calibrate, five others measure. Rows are
kept in WORKSPACE/rows.json as they are measured, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accuracy_pictures import write_pairs

from vacc_deploy.build_files import resolve_build
from vacc_deploy.compiler import CompileOptions, compile_model
from vacc_deploy.config import BuildConfig
from vacc_deploy.cpu import cpu_count
from vacc_deploy.data import open_dataset
from vacc_deploy.evaluate import evaluate, get_protocol
from vacc_deploy.evaluate.model_function import ModelFunction, open_model
from vacc_deploy.frontend import load_model
from vacc_deploy.precision import PrecisionLimits
from vacc_deploy.quantize.sessions import runner

Array = npt.NDArray[Any]
Row = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "accuracy.md"


@dataclass(frozen=True, slots=True)
class Network:
    """One network of the table.

    Attributes:
        name: As the table and --only call it.
        recipe: For `vdeploy export`: recipe and variant.
        build: Its shipped build YAML.
        protocol: How Set5 is scored; empty for a face network.
        test: Folders under --shared with low resolution and ground truth.
        scale: Enlargement.
        limits: dB that --max-drop asks for, by scheme.
        also: Another protocol with a published figure, for the float model and the fp16 artifact.
    """

    name: str
    recipe: tuple[str, str | None]
    build: str
    protocol: str = ""
    test: tuple[str, str] = ("", "")
    scale: int = 1
    limits: tuple[tuple[str, float], ...] = ()
    also: str = ""


def _lesrcnn(scale: int, build: str, symmetric: float) -> Network:
    folder = f"set5_lesrcnn/x{scale}"
    limits = (("asymmetric", 0.05), ("asymmetric", 0.03), ("symmetric", symmetric))
    return Network(
        f"lesrcnn x{scale}", ("lesrcnn", f"x{scale}"), build, "lesrcnn_vamp", (folder, folder), scale, limits,
        "lesrcnn_official",
    )  # fmt: skip


_FACE_LIMITS = (("asymmetric", 0.22),)  # the loss that a fidelity of 43.8 dB implies

NETWORKS = (
    Network(
        "vdsr", ("vdsr", None), "official_vdsr", "vdsr_vamp", ("set5_vdsr", "set5_vdsr"), 4,
        (("asymmetric", 0.02), ("symmetric", 0.02)), "vdsr_pil",
    ),
    _lesrcnn(2, "official_lesrcnn", 0.06),
    _lesrcnn(3, "official_lesrcnn_x3", 0.03),
    _lesrcnn(4, "official_lesrcnn_x4", 0.03),
    Network("sparnet light", ("sparnet", "light_attn3d"), "official_sparnet", limits=_FACE_LIMITS),
    Network("fsrnet", ("fsrnet", "running"), "official_fsrnet", limits=_FACE_LIMITS),
    Network("gpen 256", ("gpen", "256"), "official_gpen_256", limits=_FACE_LIMITS),
)  # fmt: skip

# Name of the row → (dtype, scheme, calibrate_mode, recipe_exact); the search rows are made from `limits`.
FORMS: dict[str, tuple[str, str, str | None, bool]] = {
    "fp16": ("fp16", "symmetric", None, False),
    "int8 symmetric, recipe-exact max": ("int8", "symmetric", "max", True),
    "int8 asymmetric, recipe-exact max": ("int8", "asymmetric", "max", True),
    "int8 symmetric, default": ("int8", "symmetric", None, False),
    "int8 asymmetric, default": ("int8", "asymmetric", None, False),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; returns the exit code."""
    options = _parse(arguments)
    store = options.workspace / "rows.json"
    rows: dict[str, Row] = json.loads(store.read_text()) if store.is_file() else {}
    for network in NETWORKS:
        if options.only and network.name not in options.only:
            continue
        for form, measure in _jobs(network, options):
            key = f"{network.name} | {form}"
            if (key in rows and not options.again) or (options.forms and options.forms not in form):
                continue
            started = time.perf_counter()
            rows[key] = {"network": network.name, "form": form, **measure()}
            rows[key]["seconds"] = round(time.perf_counter() - started, 1)
            print(key, json.dumps(rows[key]), file=sys.stderr, flush=True)
            store.parent.mkdir(parents=True, exist_ok=True)
            store.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    _write_page(rows)
    return 0


def _jobs(network: Network, options: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Every row of one network with the function that measures it, the cheap ones first."""
    bench = Bench(network, options)
    if network.protocol:
        yield "float32", bench.float_row
        yield f"float32, {network.also}", bench.also_row
    for form, (dtype, scheme, mode, exact) in FORMS.items():
        yield form, lambda d=dtype, s=scheme, m=mode, e=exact: bench.row(d, s, m, exact=e)  # type: ignore[misc]
    for scheme, drop in network.limits:
        form = f"int8 {scheme}, --max-drop {drop:g}"
        yield form, lambda s=scheme, d=drop: bench.row("int8", s, None, exact=False, max_drop=d)  # type: ignore[misc]
    if options.peers and network.protocol:
        from accuracy_peers import PEERS, available

        for peer in (peer for peer in PEERS if available(peer)):
            yield f"{peer} int8", lambda p=peer: bench.peer_row(p)  # type: ignore[misc]


class Bench:
    """Compiles and measures one network."""

    def __init__(self, network: Network, options: argparse.Namespace) -> None:
        self.network = network
        self.folder: Path = options.workspace / network.name.replace(" ", "_")
        self.shared: Path = options.shared
        self.time_limit: float = options.time_limit
        self.models: Path | None = options.models

    def model(self) -> Path:
        """The exported float model."""
        recipe, variant = self.network.recipe
        stem = recipe if variant is None else f"{recipe}_{variant}"
        if self.models is not None and (self.models / f"{stem}.onnx").is_file():
            return self.models / f"{stem}.onnx"
        path = self.folder / "exported" / f"{stem}.onnx"
        if not path.is_file():
            from vacc_deploy.export.exporter import export_model
            from vacc_deploy.export.registry import find_recipe

            made = export_model(find_recipe(recipe, variant), out_dir=path.parent, formats=["onnx"])
            made.files["onnx"].replace(path)
        return path

    def config(self, dtype: str, scheme: str, mode: str | None) -> BuildConfig:
        """The shipped build YAML for these pictures."""
        name = "_".join(filter(None, (self.network.name.replace(" ", "_"), dtype, scheme, mode)))
        config = resolve_build(self.network.build).override(
            name=name,
            dtype=dtype,
            scheme=scheme,
            calibrate_mode=mode,
            weight_scale="max",  # GPEN's recipe says power2, which costs 3 dB whatever else is done
            checkpoint=self.model(),
        )
        return _reading_png(config, self.calibration())

    def calibration(self) -> Path:
        """The folder of calibration pictures."""
        if not self.network.protocol:
            return _faces(self.shared / "faces512", self.folder / "calibration", slice(0, 5))
        low, _ = self.scored()
        assert low is not None
        return low

    def scored(self) -> tuple[Path, Path] | tuple[None, None]:
        """Pictures and ground truth that a search scores on; none where it goes by fidelity."""
        if not self.network.protocol:
            return None, None
        return write_pairs(self.folder / "pictures", self.network.name.split()[0], self.network.scale)

    def float_row(self) -> Row:
        """The float model's own figure."""
        return {"psnr_db": self._score(open_model(self.model())).psnr_db}

    def also_row(self) -> Row:
        """The float model's figure by its other protocol, at the pictures' own sizes if it asks so."""
        model = load_model(self.model(), None)
        run, name = runner(model, cpu_count(), any_size=True), str(model.graph.inputs[0].name)
        result = self._score(lambda arrays: run({name: arrays[0]}), protocol=self.network.also)
        return {"psnr_db": result.psnr_db}

    def row(
        self, dtype: str, scheme: str, mode: str | None, *, exact: bool, max_drop: float | None = None
    ) -> Row:
        """Compile one form and measure its artifact."""
        config = self.config(dtype, scheme, mode)
        limits = None
        if max_drop is not None:
            config = config.override(name=f"{config.name}_searched")
            limits = PrecisionLimits(max_drop, self.time_limit, *self.scored())
        made = compile_model(
            config,
            CompileOptions(output=self.folder / "compiled", recipe_exact=exact, limits=limits),
            _progress,
        )
        row: Row = {"int8_percent": round(100 * made.manifest.int8_mac_share(), 1)}
        if made.search is not None:
            row |= {
                "search_drop_db": round(made.search.drop_db, 4),
                "search_s": round(made.seconds["search"], 1),
                "out_of_time": made.search.out_of_time,
                "fp16_layers": list(made.search.moved),
            }
        if "calibrate" in made.seconds:
            row["calibrate_s"] = round(made.seconds["calibrate"], 1)
        artifact = open_model(made.prefix)
        return row | (self._against_float(artifact) if self.network.protocol else self._fidelity(artifact))

    def peer_row(self, peer: str) -> Row:
        """The same float model and pictures through another quantiser."""
        from accuracy_peers import quantized_by

        function = quantized_by(peer, self.model(), self.feeds(self.calibration()))
        return self._against_float(function)

    def feeds(self, folder: Path) -> list[dict[str, Array]]:
        """Every picture of a folder as the network reads it."""
        config = _reading_png(self.config("fp16", "symmetric", None), folder)
        return list(open_dataset(config.dataset, config.inputs, folder))

    def _score(
        self, function: ModelFunction, reference: ModelFunction | None = None, protocol: str = ""
    ) -> Any:
        low, high = (self.shared / part for part in self.network.test)
        return evaluate(function, get_protocol(protocol or self.network.protocol), low, high, reference)

    def _against_float(self, function: ModelFunction) -> Row:
        result = self._score(function, open_model(self.model()))
        return {"psnr_db": result.psnr_db, "drop_db": result.drop_db, "fidelity_db": result.fidelity_db}

    def _fidelity(self, function: ModelFunction) -> Row:
        """PSNR of the output, [−1, 1], against float's, mean over five faces that calibration did not see."""
        reference = open_model(self.model())
        values = []
        for feed in self.feeds(_faces(self.shared / "faces512", self.folder / "test", slice(5, 10))):
            ours, floats = function([*feed.values()]), reference([*feed.values()])
            last = len(floats) - 1 if self.network.name == "fsrnet" else 0  # FSRNet's fine output
            error = ours[last].astype(np.float64) - floats[last].astype(np.float64)
            values.append(10 * np.log10(4 / np.mean(np.square(error))))
        return {"fidelity_db": float(np.mean(values))}


@contextmanager
def _progress(_description: str, _total: int | None) -> Iterator[Callable[..., None]]:
    """Print what the search says, line by line."""

    def advance(_steps: int = 1, *, note: str = "") -> None:
        if note:
            print("   ", note, file=sys.stderr, flush=True)

    yield advance


def _reading_png(config: BuildConfig, folder: Path) -> BuildConfig:
    """`config` with the pictures of `folder`, all of them, whatever the YAML's suffix and count are."""
    file = config.file
    if file.dataset is None:
        return config
    sampler = file.dataset.sampler.model_copy(update={"suffix": "png", "get_data_num": None})
    dataset = file.dataset.model_copy(update={"folder": str(folder), "sampler": sampler})
    return replace(config, file=file.model_copy(update={"dataset": dataset}))


def _faces(source: Path, folder: Path, which: slice) -> Path:
    """Links to some of the faces, in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.png"))[which]:
        link = folder / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    return folder


def _write_page(rows: dict[str, Row]) -> None:
    text = PAGE.read_text()
    for marker, table in (("set5", _set5_table(rows)), ("faces", _face_table(rows))):
        begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
        head, rest = text.split(begin)
        text = head + begin + "\n" + table + end + rest.split(end)[1]
    PAGE.write_text(text)


def _set5_table(rows: dict[str, Row]) -> str:
    lines = [
        "| network | form | PSNR dB | drop dB | fidelity dB | MACs in int8 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for network in (n for n in NETWORKS if n.protocol):
        lines += [
            f"| {network.name} | {row['form']} | {row['psnr_db']:.3f} | {_number(row, 'drop_db', 3)} | "
            f"{_number(row, 'fidelity_db', 1)} | {_percent(row)} |"
            for row in _ordered(rows)
            if row["network"] == network.name
        ]
    return "\n".join(lines) + "\n"


def _face_table(rows: dict[str, Row]) -> str:
    lines = ["| network | form | fidelity dB | MACs in int8 |", "|---|---|--:|--:|"]
    for network in (n for n in NETWORKS if not n.protocol):
        lines += [
            f"| {network.name} | {row['form']} | {_number(row, 'fidelity_db', 1)} | {_percent(row)} |"
            for row in _ordered(rows)
            if row["network"] == network.name
        ]
    return "\n".join(lines) + "\n"


def _ordered(rows: dict[str, Row]) -> list[Row]:
    """Float, ours as listed, searches, peers."""
    forms = ["float32", *FORMS]

    def place(row: Row) -> tuple[int, bool, str]:
        form = row["form"]
        known = form.split(", vdsr_")[0].split(", lesrcnn_")[0]
        return forms.index(known) if known in forms else len(forms), not form.startswith("int8"), form

    return sorted(rows.values(), key=place)


def _number(row: Row, key: str, digits: int) -> str:
    return f"{row[key]:.{digits}f}" if row.get(key) is not None else "–"


def _percent(row: Row) -> str:
    return f"{row['int8_percent']:.1f} %" if row.get("int8_percent") else "–"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="test pictures")
    parser.add_argument("--workspace", type=Path, default=Path("accuracy"), help="for what is made")
    parser.add_argument("--models", type=Path, help="folder of exported ONNX files, instead of exporting")
    parser.add_argument("--only", nargs="+", metavar="NETWORK", help=", ".join(n.name for n in NETWORKS))
    parser.add_argument("--forms", default="", help="measure rows with these words only")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds per search")
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="leave other quantisers out")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
