"""`make demo` as the README tells it: the whole way in a clean folder, to a table and a picture."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def test_the_makefile_has_the_commands_of_the_readme() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make (\w+)", readme, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    assert "tools/demo.py" in makefile


@pytest.mark.e2e
@pytest.mark.slow
def test_make_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "tools" / "demo.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"^\$ vdeploy (\w+)", done.stdout, re.M)
    assert commands == ["export", *["compile", "verify", "eval", "bench", "run"] * 2]
    gains = dict(re.findall(r"^VDSR (float|fp16|int8)\s+\S+\s+([+-][\d.]+)", done.stdout, re.M))
    assert set(gains) == {"float", "fp16", "int8"}
    assert all(float(gain) >= 1.0 for gain in gains.values()), done.stdout
    assert abs(float(gains["fp16"]) - float(gains["float"])) <= 0.011  # printed with two decimals
    output = tmp_path / "demo_output"
    assert (output / "before_after.png").stat().st_size > 10_000
    assert len(list((output / "restored_int8").glob("*.png"))) == 4
