"""Render a report as one HTML file without links to anywhere."""

from __future__ import annotations

from importlib.resources import files

import jinja2

from vacc_deploy.report.collect import ReportData


def render_report(data: ReportData) -> str:
    """The report's HTML; everything that comes from files is escaped."""
    source = (files("vacc_deploy.report") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["decimal"] = _decimal
    return environment.from_string(source).render(data=data, manifest=data.manifest)


def _decimal(threshold: str) -> str:
    """A calibration table's number, ``0x1.8p+0 (1.5)``, to five digits."""
    return f"{float(threshold.partition('(')[2].rstrip(')') or threshold):.5g}"
