"""The page docs/compatibility.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cases import Case, ShippedNetwork
from stand_ins import name_of

if TYPE_CHECKING:
    from __main__ import Outcome

_HEAD = """# Which of the vendor's scripts run

`vdeploy vsx SCRIPT ARGS…` runs a script written for `vaststreamx` unchanged on the emulated run stream.
Processes that the script starts, by `multiprocessing` or with `sys.executable`, find the emulation too, and
the operators of `--with`; nothing is installed under that name.
This page is written by `tools/zoo_scripts`, which runs every script below, unmodified, from checkouts of
[VastModelZOO](https://github.com/Vastai/VastModelZOO) and
[VastStreamX-Samples](https://github.com/Vastai/VastStreamX-Samples), on pictures from scikit-image.

*Network* says what ran: one of our recipes (demo or seeded weights), or a stand-in that has the inputs and
outputs of the original and nothing else, so no figure a script prints here is a quality figure. *Needs* names
the Python packages that the script imports beside NumPy and OpenCV, and what else it insists on.
Stand-ins for detectors without NMS hold no object, so those scripts' own NMS was not exercised; on the
machine that wrote this page, torchvision lacked its compiled operators and had a Python `nms` instead.
`cv/segmentation/stdc/…/vsx_inference.py` holds unresolved merge markers: no Python can run it.

"""

_TAIL = """## What is not emulated

| what | what a script meets | what to do |
|---|---|---|
| custom operators (ELF programs of the card's DSP) | `UnsupportedError` naming the operator | write it in Python with `@vacc_deploy.vsx.register_custom_operator(name)` and load that file with `vdeploy vsx --with FILE.py SCRIPT` |
| video and JPEG engines | `UnsupportedError` naming the class | decode on the host with OpenCV, hand pictures over with `vsx.create_image` |
| dynamic input shapes | accepted for the compiled shape, `UnsupportedError` for any other | compile for the shape that the script uses (`vdeploy compile --shape`) |
| the card's tiled 8×8×4 layout between operators | emulated for fusion operators and model inputs | |
| matrix layouts between custom operators and transformers | the model refuses the tensor's shape | feed the model's own input |
"""  # noqa: E501


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the page."""
    sections = [_HEAD]
    for family in dict.fromkeys(outcome.case.family for outcome in outcomes):
        rows = [outcome for outcome in outcomes if outcome.case.family == family]
        run = sum(outcome.passed and not outcome.case.refused for outcome in rows)
        refused = sum(outcome.passed and bool(outcome.case.refused) for outcome in rows)
        title = f"{run} of {len(rows)} run" + (f", {refused} refused by name" if refused else "")
        sections.append(
            f"## {family.capitalize()}: {title}\n\n| script | result | network | needs |\n|---|---|---|---|\n"
        )
        sections += [_row(outcome) for outcome in rows]
        sections.append("\n")
    path.write_text("".join(sections) + _TAIL, encoding="utf-8")


def _row(outcome: Outcome) -> str:
    case = outcome.case
    result = "runs" if outcome.passed and not case.refused else outcome.evidence
    if not outcome.passed:
        result = f"**fails**: {result}"
    return f"| `{case.script}` | {result.replace('|', '/')} | {_network(case)} | {case.needs} |\n"


def _network(case: Case) -> str:
    if case.network is None:
        return "none"
    if isinstance(case.network, ShippedNetwork):
        return f"`{case.network.config}`"
    return (
        re.sub(r"_", " ", name_of(case.network))
        .replace("picturenetwork", "stand-in")
        .replace("rawheads", "heads")
    )
