"""Nothing but `safe_io` opens outside files: every call that could is found and must be excused here."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_TREES = ("vacc_deploy", "export")

# Bare functions and `module.function` pairs that open a file, or run what is in one.
_FUNCTIONS = frozenset({"open", "eval", "exec", "compile", "__import__"})
_DOTTED_NAMES = """
    io.open os.open os.fdopen codecs.open gzip.open tarfile.open zipfile.ZipFile mmap.mmap np.load
    np.loadtxt np.genfromtxt np.fromfile np.memmap np.save np.savez np.savez_compressed numpy.load
    onnx.load onnx.load_model onnx.save onnx.save_model ir.load ir.save onnx_ir.load onnx_ir.save
    torch.load torch.jit.load torch.save torch.jit.save cv2.imread cv2.imwrite cv2.VideoCapture
    Image.open yaml.load yaml.safe_load yaml.unsafe_load yaml.full_load json.load json.dump
    pickle.load pickle.loads pickle.Unpickler marshal.loads shelve.open skimage.io.imread
    ort.InferenceSession onnxruntime.InferenceSession
    tempfile.NamedTemporaryFile safetensors.safe_open joblib.load runpy.run_path tomllib.load
"""
_DOTTED = frozenset(_DOTTED_NAMES.split())
# Methods that open the path they belong to.
_METHODS = frozenset(
    {"read_text", "read_bytes", "write_text", "write_bytes", "load_file", "save_file", "exec_module"}
)

# (file, call) → why it is not an outside file, or what makes it safe.
_ALLOWED: dict[tuple[str, str], str] = {
    ("export/archive.py", "torch.jit.save"): "into memory",
    ("export/archive.py", "zipfile.ZipFile"): "in memory, of what torch just wrote",
    ("export/catalogue.py", ".read_text"): "this package's own list of recipes",
    ("export/proof.py", "torch.jit.load"): "from memory, of the module that was just exported",
    ("export/registry.py", ".exec_module"): "a recipe is a program; its author asks for it by a .py path",
    ("export/render.py", ".read_text"): "this package's templates and rendered files",
    ("export/sample_picture.py", "Image.open"): "scikit-image's own picture",
    ("vacc_deploy/artifact/writer.py", ".read_bytes"): "what it just wrote into its staging folder",
    ("vacc_deploy/artifact/writer.py", ".write_bytes"): "into its staging folder",
    ("vacc_deploy/artifact/writer.py", ".write_text"): "into its staging folder",
    ("vacc_deploy/build_files.py", ".read_text"): "this package's build YAMLs",
    ("vacc_deploy/cli/app.py", "os.open"): "the null device",
    ("vacc_deploy/cli/console.py", "json.dump"): "standard output",
    ("vacc_deploy/cpu.py", ".read_text"): "the system's description of the processor",
    ("vacc_deploy/data/image_to_npz.py", ".write_text"): "into its staging folder",
    ("vacc_deploy/frontend/convert_torchscript.py", "onnx.load_model"): "what our own subprocess wrote",
    ("vacc_deploy/frontend/torchscript.py", "torch.jit.load"): "in a subprocess with limits",
    (
        "vacc_deploy/frontend/torchscript.py",
        "onnx.save_model",
    ): "the subprocess's result, into its own folder",
    ("vacc_deploy/onnx_session.py", "onnxruntime.InferenceSession"): "from memory, of a model that was read",
    ("vacc_deploy/runtime/reference/graph.py", "ort.InferenceSession"): "from memory, of one node",
    ("vacc_deploy/report/html.py", ".read_text"): "this package's templates",
    ("vacc_deploy/vsx/device.py", ".read_text"): "the system's description of the machine",
    ("vacc_deploy/vsx/import_name.py", "runpy.run_path"): "the user's own operators, which --with names",
    ("vacc_deploy/vsx/script.py", "runpy.run_path"): "the user's own script, which the command exists to run",
}


def _dotted_name(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "?", *reversed(parts)])


def openings(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every call in Python source that could open a file."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted_name(node.func)
        method = name.rpartition(".")[2]
        if name in _FUNCTIONS or name in _DOTTED:
            yield node.lineno, name
        elif isinstance(node.func, ast.Attribute) and (
            method in _METHODS or (method == "open" and name != "webbrowser.open")
        ):
            yield node.lineno, f".{method}" if method in _METHODS or name not in _DOTTED else name


@functools.cache
def _found() -> list[tuple[str, int, str]]:
    """File, line and name of every such call outside `safe_io`."""
    files = [path for tree in _TREES for path in (_ROOT / tree).rglob("*.py")]
    outside = sorted(path for path in files if "safe_io" not in path.relative_to(_ROOT).parts)
    return [
        (path.relative_to(_ROOT).as_posix(), line, call)
        for path in outside
        for line, call in openings(path.read_text())
    ]


def test_only_safe_io_opens_files() -> None:
    found = [f"{file}:{line}: {call}" for file, line, call in _found() if (file, call) not in _ALLOWED]
    assert not found, "use vacc_deploy.safe_io, or say in _ALLOWED why not:\n" + "\n".join(found)


def test_every_excuse_is_needed() -> None:
    calls = {(file, call) for file, _, call in _found()}
    gone = _ALLOWED.keys() - calls
    assert not gone, f"no longer there: {sorted(gone)}"


@pytest.mark.parametrize(
    "source",
    [
        "open('x')", "np.load('x')", "Path('x').read_text()", "p.open()", "a.load_file()",
        "torch.jit.load(f)", "cv2.imread(f)",
        "with Image.open(f) as i: pass", "yaml.safe_load(t)", "json.load(f)", "pickle.loads(b)", "eval(t)",
    ],
)  # fmt: skip
def test_scan_sees(source: str) -> None:
    assert list(openings(source))


@pytest.mark.parametrize(
    "source", ["json.loads(t)", "read_text(p)", "safe_io.read_npz(p)", "re.compile('x')", "opener()"]
)
def test_scan_ignores(source: str) -> None:
    assert not list(openings(source))
