"""The `vdeploy` command: the list of its sub-commands, and the one place where errors become exit codes.

Exit codes: 0 ok, 1 user error, 2 a gate was missed, 3 internal error, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence

from vacc_deploy.errors import ConfigError, VdeployError
from vacc_deploy.version import __version__

# Command name → (module under vacc_deploy.cli, one-line help). A command's module is imported only when
# it runs, so that `vdeploy --help` stays instant.
COMMANDS: dict[str, tuple[str, str]] = {
    "models": ("models", "List the model recipes with parameters, MACs, variants and licences."),
    "export": ("export", "Write a model as ONNX and TorchScript, and prove both equal to PyTorch."),
    "npz": ("npz", "Turn a folder of images into npz files and a datalist."),
    "check": ("check", "Lint build YAMLs and vdsp JSONs, pre-flight models, compare pre-processing."),
    "compile": ("compile", "Compile a build YAML or an ONNX file into an fp16 or int8 artifact."),
    "run": ("run", "Run an artifact on images, or a build YAML over its dataset."),
    "bench": ("bench", "Measure latency and throughput with vamp's flags and fields."),
    "eval": ("eval", "Score an artifact by PSNR and SSIM under its model's protocol."),
    "diff": ("diff", "Compare an artifact with its float model, layer by layer."),
    "inspect": ("inspect", "Show an artifact's run stream, configuration and the reason for each precision."),
    "verify": ("verify", "Check an artifact's digests and replay its stored test vectors."),
    "report": ("report", "Write a self-contained HTML report about an artifact."),
    "vsx": ("vsx", "Run a vaststreamx script unchanged on the emulated run stream."),
}  # fmt: skip


# `vamc build`, as the vendor's older pages call it.
_VENDORS_NAMES = {"build": "compile"}

_INTERNAL_ERROR = 3
_INTERRUPTED = 130  # 128 + the number of the signal, as shells count
_TERMINATED = 143
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def help_text() -> str:
    """The text of `vdeploy --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            f"vdeploy {__version__}: compile networks for VACC cards and run the artifacts on this CPU.",
            "",
            "Usage: vdeploy COMMAND [ARGS]...    (vdeploy COMMAND --help for its flags and examples)",
            "",
            "Commands:",
            *lines,
            "",
            "Every command prints its results on stdout, with --json as one JSON document, and all else on",
            "stderr. Exit codes: 0 ok, 1 your input, 2 a gate was missed, 3 an internal error.",
            "--debug adds the traceback to an error; vdeploy --version tells the version.",
        ]
    )


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run one sub-command and return its exit code; a `VdeployError` passes through.

    A command's module offers `app`, a typer application with one command, and `EXAMPLES` for its help page;
    it may offer `rewrite_arguments` for spellings that typer cannot express.

    Raises:
        ConfigError: A flag or argument is wrong.
    """
    import typer
    from typer.main import get_command

    module = importlib.import_module(f"vacc_deploy.cli.{COMMANDS[name][0]}")
    if hasattr(module, "rewrite_arguments"):
        arguments = module.rewrite_arguments(list(arguments))
    command = get_command(module.app)
    if _asks_for_help(arguments):
        from vacc_deploy.cli.help import help_page

        print(help_page(name, command, module.EXAMPLES))
        return 0
    usage_error: type[Exception] = typer.BadParameter.__mro__[1]  # UsageError
    try:
        # Not `command(…)`, which turns errors, interrupts and closed pipes into texts and codes of its own.
        with command.make_context(f"vdeploy {name}", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return stop.exit_code
    except usage_error as error:
        message = getattr(error, "format_message", error.__str__)()
        raise ConfigError(
            " ".join(message.split()),
            where=f"vdeploy {name}",
            hint=f"vdeploy {name} --help lists its flags and arguments",
        ) from error
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)  # a script's sys.exit("why"), as Python itself would
        return 1
    return 0


def _asks_for_help(arguments: Sequence[str]) -> bool:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "-h" in own or "--help" in own


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `vdeploy` script; returns the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as by `>&-`
            setattr(sys, name, io.StringIO())
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("VDEPLOY_DEBUG"))
    if arguments[:1] == ["--debug"]:
        debug, arguments = True, arguments[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_text())
        return 0
    if arguments[0] == "--version":
        print(__version__)
        return 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # any file name and any µ can be shown in any locale
            stream.reconfigure(errors="backslashreplace")
    name, rest = _VENDORS_NAMES.get(arguments[0], arguments[0]), arguments[1:]
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "vdeploy --help lists the commands"
        print(f"error[E002]: unknown command '{name}'\n  = next: {hint}", file=sys.stderr)
        return 1
    if name != "vsx" and "--debug" in rest:  # a vaststreamx script keeps its own flags
        debug = True
        rest.remove("--debug")
    try:
        with _clean_termination():
            code = run_command(name, rest)
            sys.stdout.flush()  # here, where a full disk or a closed pipe has an exit code
            return code
    except VdeployError as error:
        if debug:
            traceback.print_exc()
        print(_printable(str(error)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: nothing half-written was left behind", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:  # files' own errors are typed
            _discard_stdout()
            print(
                f"error[E100]: the results cannot be written: {error.strerror}\n"
                "  = next: free some space, or send stdout elsewhere",
                file=sys.stderr,
            )
            return 1
        print(
            f"error[E999]: internal error: {type(error).__name__}: {_printable(str(error))}\n"
            "  = next: run the command with --debug and report the traceback",
            file=sys.stderr,
        )
        return _INTERNAL_ERROR


@contextlib.contextmanager
def _clean_termination() -> Iterator[None]:
    """Make SIGTERM leave by an exception, so that temporary files are removed on the way."""

    def terminate(_signal: int, _frame: object) -> None:
        raise SystemExit(_TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _discard_stdout() -> None:
    """Send what Python still holds for stdout nowhere; at exit it would try again, and fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _printable(text: str) -> str:
    """The text without control characters, with which a file's name could repaint the terminal."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1]
        for character in text
    )


if __name__ == "__main__":
    sys.exit(main())
