"""The command itself: instant help, light commands, exit codes, and texts that nothing is dropped from."""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from vacc_deploy.cli import app, console
from vacc_deploy.cli.app import COMMANDS, main
from vacc_deploy.errors import (
    ArtifactError,
    CheckpointError,
    ConfigError,
    DataError,
    ErrorList,
    FileError,
    GateError,
    ModelError,
    RunError,
    VdeployError,
)

_HEAVY = ("torch", "tvm", "typer", "rich", "numpy", "onnx", "onnxruntime", "cv2", "skimage", "pydantic")
_LIGHT = ("run", "bench", "eval", "verify", "inspect")

# Class → (code, exit code)
ERRORS: dict[type[VdeployError], tuple[str, int]] = {
    VdeployError: ("E000", 1),
    ErrorList: ("E001", 1),
    FileError: ("E100", 1),
    ConfigError: ("E200", 1),
    CheckpointError: ("E300", 1),
    ModelError: ("E400", 1),
    DataError: ("E500", 1),
    ArtifactError: ("E600", 1),
    RunError: ("E700", 1),
    GateError: ("E800", 2),
}


def _modules_after(statement: str) -> set[str]:
    """Names of the modules that a fresh process has loaded after `statement`."""
    script = f"import sys\n{statement}\nprint('\\n'.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\S", output, re.MULTILINE) for name in COMMANDS)


def test_help_is_instant() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "vacc_deploy.cli.app", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert seconds < 0.3  # processor time, so that a busy machine does not fail the test


def test_help_imports_nothing_heavy() -> None:
    loaded = _modules_after("from vacc_deploy.cli.app import main; main(['--help'])")
    assert not loaded.intersection(_HEAVY)


def test_light_commands_load_no_compiler(tiny_artifact: Path) -> None:
    """verify replays the artifact's vectors: as much of the runtime as any command needs."""
    imports = "; ".join(f"import vacc_deploy.cli.{COMMANDS[name][0]}" for name in _LIGHT)
    loaded = _modules_after(
        f"{imports}\nfrom vacc_deploy.cli.app import main\nmain(['verify', {str(tiny_artifact)!r}])"
    )
    assert "tvm_ffi" in loaded
    assert not loaded.intersection({"torch", "tvm", "onnxruntime", "skimage", "onnx"})


def test_compiling_onnx_loads_no_torch(tiny_artifact: Path, tmp_path: Path) -> None:
    """TVM and onnxsim would, wherever they find it."""
    command = ["compile", str(tiny_artifact.parents[2] / "tiny.onnx"), "--dtype", "fp16", "-o", str(tmp_path)]
    loaded = _modules_after(
        f"import vacc_deploy.quantize.calibrate\nfrom vacc_deploy.cli.app import main\n"
        f"assert main({command}) == 0"
    )
    assert {"tvm", "onnxsim"} <= loaded
    assert "torch" not in loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"Usage: vdeploy {name} ")
    # Every command can be used by a program, except for those that run someone's script.
    assert "--json" in output or name == "vsx"


def test_help_of_every_command_imports_nothing_heavy() -> None:
    calls = "; ".join(f"main([{name!r}, '-h'])" for name in COMMANDS)
    loaded = _modules_after(f"from vacc_deploy.cli.app import main; {calls}")
    assert not loaded.intersection({*_HEAVY, "numpy", "pydantic", "cv2"} - {"typer", "rich"})


def _command(name: str) -> tuple[Any, Any]:
    module = importlib.import_module(f"vacc_deploy.cli.{COMMANDS[name][0]}")
    return module, get_command(module.app)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_page_fits_the_terminal_and_shows_every_flag(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([name, "-h"]) == 0
    page, _, examples = capsys.readouterr().out.partition("Examples:\n")
    assert all(len(line) <= width for line in page.splitlines())
    for parameter in _command(name)[1].params:
        if parameter.param_type_name == "option":
            assert max(parameter.opts, key=len).replace("-", "_") in page.replace("-", "_")
            assert parameter.help or parameter.name == "help"
    assert examples.strip()


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_flags_that_exist(name: str) -> None:
    module, command = _command(name)
    for line in module.EXAMPLES:
        words = shlex.split(line, comments=True)
        assert words[:2] == ["vdeploy", name]
        arguments = getattr(module, "rewrite_arguments", list)(words[2:])
        with command.make_context(name, arguments) as context:
            assert context.params


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_flag_is_an_ordinary_error(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--no-such-flag"]) == 1
    output = capsys.readouterr()
    assert "error[E200]: " in output.err
    assert f"vdeploy {name} --help" in output.err
    assert not output.out


def test_brackets_in_help_survive(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    assert "[[1,512],…]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["[bold]x[/bold]", "layers[conv]", "[/]", "a:smile:b", "C:\\[x]\\y", "[link=x]y"]
)
def test_nothing_is_taken_for_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.print_note(text)
    assert capsys.readouterr().err == f"{text}\n"
    console.print_fields({text: text})
    assert capsys.readouterr().out == f"{text}  {text}\n"
    console.print_table(("layer", "name"), [(text, text)], title=text)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].rstrip() == text
    assert lines[2].split() == [text, text]


def test_wide_tables_are_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("a", "b"), [("x" * 300, "y" * 300)])
    assert "x" * 300 in capsys.readouterr().out


def test_columns_of_numbers_align_right_and_words_left(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(
        ("layer", "dB", "share", "shape", "why"),
        [("a", 7, "1.5 %", "1×3", "reads the picture"), ("long", "-12.25", "", "1×64×8", "")],
    )
    assert capsys.readouterr().out.splitlines() == [
        "layer      dB  share   shape  why",
        "a           7  1.5 %     1×3  reads the picture",
        "long   -12.25         1×64×8",
    ]


def test_a_log_file_gets_no_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress_bar("working", 3) as advance:
        advance()
        advance(2, "almost")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_class(
    kind: type[VdeployError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, exit_code = ERRORS[kind]
    assert kind.code == code

    def fail(_name: str, _arguments: list[str]) -> int:
        if kind is ErrorList:
            raise ErrorList([ConfigError("one"), ConfigError("two")])
        raise kind("what", where="where.txt:3", why="why", hint="hint")

    monkeypatch.setattr(app, "run_command", fail)
    assert main(["models"]) == exit_code
    message = capsys.readouterr().err
    if kind is ErrorList:
        assert message == "error[E200]: one\nerror[E200]: two\n"
    else:
        assert message == f"error[{code}]: what\n  --> where.txt:3\n  = why: why\n  = next: hint\n"
    assert main(["--debug", "models"]) == exit_code
    assert "Traceback" in capsys.readouterr().err


def test_many_problems_do_not_flood_the_terminal() -> None:
    text = str(ErrorList([ConfigError(f"problem {number}") for number in range(1000)]))
    assert len(text.splitlines()) == ErrorList.shown + 1
    assert text.endswith("… and 960 more problems")


EXITS = {
    "internal error": (ZeroDivisionError("oops"), 3, "error[E999]: internal error: ZeroDivisionError: oops"),
    "interrupt": (KeyboardInterrupt(), 130, "interrupted"),
    "control characters": (FileError("bad \x1b[2J name"), 1, "bad \\x1b[2J name"),
}


@pytest.mark.parametrize("name", EXITS)
def test_exits(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error, exit_code, says = EXITS[name]

    def fail(_name: str, _arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr(app, "run_command", fail)
    assert main(["models"]) == exit_code
    message = capsys.readouterr().err
    assert says in message
    assert "Traceback" not in message


def test_the_vendors_word_for_compile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "gone.yaml"]) == 1
    assert "no build configuration at gone.yaml" in capsys.readouterr().err


def test_bench_reports_both_modes_under_their_names(
    tiny_artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "-m", str(tiny_artifact), "--iterations", "2", "--mode", "both"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["throughput:", "- number of instances: 1"]
    assert lines[lines.index("latency:") + 1] == "- number of instances: 1"


def test_a_closed_pipe_is_no_error(tiny_artifact: Path) -> None:
    command = f"{sys.executable} -m vacc_deploy.cli.app inspect --json {tiny_artifact} | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "{"
    assert not done.stderr


@pytest.mark.parametrize(
    ("stdout", "code", "says"),
    [("> /dev/full", 1, "results cannot be written: No space left"), (">&-", 0, "")],
    ids=["full", "closed"],
)
@pytest.mark.parametrize("arguments", ["verify {} --json", "inspect {} --json"], ids=["short", "long"])
def test_a_stdout_that_takes_nothing(
    arguments: str, stdout: str, code: int, says: str, tiny_artifact: Path
) -> None:
    command = f"{sys.executable} -m vacc_deploy.cli.app {arguments.format(tiny_artifact)} {stdout}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Exception" not in done.stderr
    assert "E999" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_can_show_any_name(encoding: str) -> None:
    command = [
        sys.executable,
        "-m",
        "vacc_deploy.cli.app",
        "inspect",
        os.fsdecode("né\xff網".encode() + b"\xff"),
    ]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 1
    assert b"error[E600]: no artifact at" in done.stderr


def test_json_is_all_there_is_on_stdout(tiny_artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["inspect", "--json"],
        ["verify", "--json"],
        ["bench", "--json", "--iterations", "2", "-m"],
    ):
        assert main([*arguments, str(tiny_artifact)]) == 0
        json.loads(capsys.readouterr().out)


def test_names_in_any_script_can_be_read_and_copied() -> None:
    from vacc_deploy.cli.compile import _echo

    assert "рабочая" in _echo({"workspace": {"path": "рабочая"}})
