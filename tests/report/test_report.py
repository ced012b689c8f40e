"""The HTML report: whole, self-contained, and nothing from a file is taken for markup."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vacc_deploy.cli.app import main
from vacc_deploy.report.collect import ReportData, collect_report
from vacc_deploy.report.html import render_report
from vacc_deploy.safe_io import write_image

_VOID = {"meta", "br", "img"}


class _Page(HTMLParser):
    """Texts of a page's cells and headings, links, and whether every tag is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.widths: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in _VOID else [tag]
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.widths += [value or "" for name, value in attrs if name == "style"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.texts.append(" ".join(data.split()))


@pytest.fixture(scope="module")
def data(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    folder = tmp_path_factory.mktemp("report")
    for side in ("lr", "hr"):
        (folder / side).mkdir()
        write_image(folder / side / "a.png", np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))
    return collect_report(tiny_artifact, folder / "lr", folder / "hr", tiny_artifact)


def test_a_page_is_whole_and_links_to_nothing(data: ReportData) -> None:
    page = _Page(render_report(data))
    assert not page.open
    assert len(page.links) == 3
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    for text in ("tiny", "a", "fp16", "float", "difference ×16", "conv"):
        assert text in page.texts
    assert any("not the card" in text for text in page.texts)


def test_layers_have_their_times(data: ReportData) -> None:
    assert sum(row.share for row in data.layers) == pytest.approx(1)
    assert {row.layer.name for row in data.layers} >= {"conv"}
    page = _Page(render_report(data))
    assert "width: 100.0%" in page.widths, "the slowest layer fills its bar"


def test_the_score_beside_the_same_model_loses_nothing(data: ReportData) -> None:
    assert data.score is not None
    assert data.score.drop_db == 0
    assert data.pictures[0].images.keys() == {"fp16", "float", "difference ×16"}


def test_thresholds_are_shown_in_decimal(data: ReportData) -> None:
    entry = {
        "name": "Relu_1", "minimum": "0x0p+0 (0)", "maximum": "0x1.8p+0 (1.5)", "low": "-0x1p-3 (-0.125)",
        "high": "0x1.921fb6p+1 (3.14159274)", "clipped": 0.00125, "sqnr_db": 38.5, "method": "mse",
    }  # fmt: skip
    texts = _Page(render_report(dataclasses.replace(data, thresholds=[entry]))).texts
    row = texts[texts.index("Relu_1") :][:8]
    assert row == ["Relu_1", "0", "1.5", "-0.125", "3.1416", "0.1250 %", "38.5", "mse"]


def test_names_are_text(data: ReportData) -> None:
    evil = "<script>alert(1)</script>"
    layer = dataclasses.replace(data.layers[0].layer, name=evil, why=evil)
    changed = dataclasses.replace(
        data, layers=[dataclasses.replace(data.layers[0], layer=layer)], prefix=evil
    )
    page = render_report(changed)
    assert "<script" not in page
    assert _Page(page).texts.count(evil) == 2


def test_the_command(tiny_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "report.html"
    assert main(["report", str(tiny_artifact), "-o", str(output)]) == 0
    assert str(output) in capsys.readouterr().out
    assert "Pictures" not in _Page(output.read_text()).texts
