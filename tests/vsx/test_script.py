"""Scripts run unchanged, end as they should, and see the same bytes as every other command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vacc_deploy.cli.vsx import rewrite_arguments
from vacc_deploy.evaluate import evaluate, get_protocol
from vacc_deploy.evaluate.model_function import ArtifactFunction
from vacc_deploy.safe_io import read_image, read_npz, write_image, write_npz, write_text_atomic
from vacc_deploy.vsx.import_name import MODULE_NAMES

# What every super-resolution script of the zoo does, reduced to its calls.
ZOO_SCRIPT = """
import argparse, sys, threading
import cv2, numpy as np
import vaststreamx as vsx
import _vaststreamx

assert vsx is _vaststreamx and __name__ == "__main__"
parser = argparse.ArgumentParser()
for name in ("--model_prefix_path", "--vdsp_params_info", "--save"):
    parser.add_argument(name)
parser.add_argument("--device_id", type=int)
parser.add_argument("files", nargs="+")
args = parser.parse_args()
assert vsx.set_device(args.device_id) == 0
model = vsx.Model(args.model_prefix_path, 1)
fusion_op = vsx.Operator.load_ops_from_json_file(args.vdsp_params_info)[0]
graph = vsx.Graph()
model_op = vsx.ModelOperator(model)
graph.add_operators(fusion_op, model_op)
stream = vsx.Stream(graph, vsx.StreamBalanceMode.ONCE)
stream.register_operator_output(model_op)
stream.build()
results = []
def consume():
    while True:
        try:
            results.append(vsx.as_numpy(stream.get_operator_output(model_op)[0][0]))
        except ValueError as error:
            print(error)
            break
thread = threading.Thread(target=consume)
thread.start()
for file in args.files:
    image = np.stack(cv2.split(cv2.cvtColor(cv2.imread(file), cv2.COLOR_BGR2RGB)))
    stream.run_async([vsx.create_image(image, vsx.ImageFormat.RGB_PLANAR, image.shape[2], image.shape[1], 0)])
{ending}
"""
GOOD_ENDING = """
stream.close_input(); stream.wait_until_done(); thread.join()
np.save(args.save, np.stack(results))
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures of different sizes, the same as ground truth and as npz files, and a vdsp JSON."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("pictures", "truth"):
        (folder / name).mkdir()
    random = np.random.default_rng(0)
    for name, size in {"a": (20, 30), "b": (16, 24)}.items():
        picture = random.integers(0, 256, (*size, 3), np.uint8)
        write_image(folder / "pictures" / f"{name}.png", picture)
        write_image(folder / "truth" / f"{name}.png", picture)
        write_npz(folder / f"{name}.npz", {"input_0": picture.transpose(2, 0, 1)})
    write_text_atomic(folder / "list.txt", f"{folder}/a.npz\n{folder}/b.npz\n")
    config = {"NormaType": "DIV255", "ResizeType": "BILINEAR_CV", "ColorCvtCode": "NO_CHANGE"}
    op = {"OpType": "FUSION_OP_RGB_RESIZE_CVTCOLOR_NORM_TENSOR", "OpConfig": config}
    write_text_atomic(folder / "vdsp.json", json.dumps(op))
    return folder


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def zoo_arguments(artifact: Path, inputs: Path, save: Path) -> list[str | Path]:
    return [
        "--model_prefix_path", artifact, "--vdsp_params_info", inputs / "vdsp.json", "--device", "0",
        "--save", save, inputs / "pictures" / "a.png", inputs / "pictures" / "b.png",
    ]  # fmt: skip


def test_script_run_bench_and_eval_see_the_same_bytes(
    tiny_artifact: Path, inputs: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(ZOO_SCRIPT.replace("{ending}", GOOD_ENDING))
    vdeploy = ["-m", "vacc_deploy.cli.app"]
    stages = [
        run("-m", "vacc_deploy.vsx", script, *zoo_arguments(tiny_artifact, inputs, tmp_path / "vsx.npy")),
        run(*vdeploy, "vsx", script, *zoo_arguments(tiny_artifact, inputs, tmp_path / "cli.npy")),
        run(
            *vdeploy, "run", tiny_artifact, "--vdsp_params", inputs / "vdsp.json", "--npz",
            "-o", tmp_path / "run", "--input", inputs / "pictures",
        ),
        run(
            *vdeploy, "run", tiny_artifact, "--vdsp_params", inputs / "vdsp.json",
            "-o", tmp_path / "run_pictures", "--input", inputs / "pictures",
        ),
        run(
            *vdeploy, "bench", "-m", tiny_artifact, "--vdsp_params", inputs / "vdsp.json", "-i", "1",
            "p", "1", "--datalist", inputs / "list.txt", "--path_output", tmp_path / "bench",
        ),
        run(
            *vdeploy, "eval", tiny_artifact, "--lr", inputs / "pictures", "--hr", inputs / "truth",
            "--save", tmp_path / "eval",
        ),
    ]  # fmt: skip
    for stage in stages:
        assert stage.returncode == 0, stage.stderr
        assert "not the card" in stage.stdout + stage.stderr
    evaluated = _outputs_of_evaluation(tiny_artifact, inputs)
    assert "stream closed" in stages[0].stdout
    seen = np.load(tmp_path / "vsx.npy")
    assert seen.shape == (2, 1, 3, 16, 24)
    assert seen.dtype == np.float16
    assert np.array_equal(np.load(tmp_path / "cli.npy"), seen)
    for index, name in enumerate("ab"):
        expected = {"output_0": seen[index].tobytes()}
        by_run = read_npz(tmp_path / "run" / f"{name}.npz")
        by_bench = read_npz(tmp_path / "bench" / f"output_{index:06d}.npz")
        assert {key: array.tobytes() for key, array in by_run.items()} == expected
        assert {key: array.tobytes() for key, array in by_bench.items()} == expected
        assert {"output_0": evaluated[index]} == expected
        by_eval = read_image(tmp_path / "eval" / f"{name}.png")
        assert np.array_equal(by_eval, read_image(tmp_path / "run_pictures" / f"{name}.png"))


def _outputs_of_evaluation(prefix: Path, inputs: Path) -> list[bytes]:
    """What `evaluate` gets from the artifact, picture by picture, before it scores anything."""
    model = ArtifactFunction(prefix)
    seen: list[bytes] = []

    def recording(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        outputs = model(arrays)
        seen.append(outputs[0].tobytes())
        return outputs

    recording.input_shape = model.input_shape  # type: ignore[attr-defined]
    evaluate(recording, get_protocol("rgb"), inputs / "pictures", inputs / "truth")
    return seen


@pytest.mark.parametrize(
    "by", [["-m", "vacc_deploy.cli.app", "vsx"], ["-m", "vacc_deploy.vsx"]], ids=["vdeploy", "python"]
)
def test_a_scripts_mistakes_are_reported_as_by_python(by: list[str], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import vaststreamx\nimport no_such_package_of_ours\n")
    done = run(*by, script)
    assert done.returncode == 1
    assert "pip install no_such_package_of_ours" in done.stderr
    assert "runpy" not in done.stderr, "the traceback begins in the script"
    script.write_text("raise KeyboardInterrupt\n")
    done = run(*by, script)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


ENDINGS: dict[str, tuple[str, int, str]] = {
    "a crash with a waiting reader": ("raise KeyError('no such picture')", 1, "no such picture"),
    "an exit with a reason": ("stream.close_input(); sys.exit('no pictures')", 1, "no pictures"),
    "an exit code": ("stream.close_input(); sys.exit(7)", 7, "not the card"),
    "an error of ours in a thread": (
        "threading.Thread(target=lambda: stream.run_async([vsx.from_numpy(np.zeros((1, 1)))])).start()\n"
        "threading.Event().wait()",
        1,
        "has shape",
    ),
    "forgetting to close": ("pass", 0, "not the card"),
}


@pytest.mark.parametrize(("ending", "code", "message"), ENDINGS.values(), ids=ENDINGS)
def test_every_ending_ends(
    tiny_artifact: Path, inputs: Path, tmp_path: Path, ending: str, code: int, message: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(ZOO_SCRIPT.replace("{ending}", ending))
    done = run(
        "-m", "vacc_deploy.cli.app", "vsx", script, *zoo_arguments(tiny_artifact, inputs, tmp_path / "x")
    )
    assert done.returncode == code, done.stderr
    assert message in done.stderr


def test_preloaded_files_register_custom_operators(tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(
        "from vacc_deploy.vsx import register_custom_operator\n"
        "@register_custom_operator('negate')\n"
        "def negate(inputs, config, output_info):\n    return [-inputs[0]]\n"
    )
    (tmp_path / "script.py").write_text(
        "import sys, numpy as np, vaststreamx as vsx\n"
        "op = vsx.CustomOperator('negate', 'negate.elf')\n"
        "out = op.run_sync([vsx.from_numpy(np.ones(3, np.float16), 0)], b'', [([3], vsx.TypeFlag.FLOAT16)])\n"
        "print(sys.argv[1:], vsx.as_numpy(out[0]).tolist())\n"
    )
    done = run(
        "-m", "vacc_deploy.cli.app", "vsx", "--with", tmp_path / "ops.py", tmp_path / "script.py",
        "-x", "--help",
    )  # fmt: skip
    assert done.stdout == "['-x', '--help'] [-1.0, -1.0, -1.0]\n", done.stderr


# Every way in which a script can start a fresh interpreter; each child answers with 3 negated.
CHILDREN: dict[str, str] = {
    "spawn": "with multiprocessing.get_context('spawn').Pool(1) as pool: print(pool.apply(negated, (3,)))",
    "forkserver": "with multiprocessing.get_context('forkserver').Pool(1) as pool: "
    "print(pool.apply(negated, (3,)))",
    "subprocess": "subprocess.run([sys.executable, __file__, 'child'], check=True)",
}
SCRIPT_WITH_CHILDREN = """
import multiprocessing, subprocess, sys
import _vaststreamx
import vaststreamx as vsx
import numpy as np

def negated(number):
    assert vsx is _vaststreamx
    tensor = vsx.from_numpy(np.full(1, number, np.float16), 0)
    op = vsx.CustomOperator("negate", "negate.elf")
    return int(vsx.as_numpy(op.run_sync([tensor], b"", [([1], vsx.TypeFlag.FLOAT16)])[0])[0])

if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        print(negated(3))
    else:
        {start}
"""


@pytest.mark.parametrize("start", CHILDREN.values(), ids=CHILDREN)
def test_child_processes_find_the_emulation(start: str, tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(
        "from vacc_deploy.vsx import register_custom_operator\n"
        "register_custom_operator('negate')(lambda inputs, config, output_info: [-inputs[0]])\n"
    )
    script = tmp_path / "script.py"
    script.write_text(SCRIPT_WITH_CHILDREN.replace("{start}", start))
    done = run("-m", "vacc_deploy.cli.app", "vsx", "--with", tmp_path / "ops.py", script)
    assert done.stdout == "-3\n", done.stderr
    assert done.returncode == 0


def test_an_error_of_ours_in_a_childs_thread_ends_the_child(tmp_path: Path) -> None:
    child = (
        "import threading, vaststreamx as vsx\n"
        "threading.Thread(target=vsx.VideoCapture, args=('clip.mp4',)).start()\n"
        "threading.Event().wait()\n"
    )
    (tmp_path / "script.py").write_text(
        "import subprocess, sys\n"
        f"print(subprocess.run([sys.executable, '-c', {child!r}], timeout=30).returncode)\n"
    )
    done = run("-m", "vacc_deploy.vsx", tmp_path / "script.py")
    assert done.stdout == "1\n", done.stderr
    assert "VideoCapture" in done.stderr


def test_the_name_is_lent_for_the_run_only() -> None:
    for name in MODULE_NAMES:
        done = run("-c", f"import importlib.util; print(importlib.util.find_spec('{name}'))")
        assert done.returncode == 0
        assert "aliases" not in done.stdout


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    done = run("-m", "vacc_deploy.cli.app", "vsx", tmp_path / "nothing.py")
    assert done.returncode == 1
    assert "no script at" in done.stderr
    assert "Traceback" not in done.stderr


REWRITES: dict[str, tuple[list[str], list[str]]] = {
    "script flags": (["s.py", "-m", "x", "--json"], ["--", "s.py", "-m", "x", "--json"]),
    "own flag first": (["--with", "o.py", "s.py", "--with"], ["--with", "o.py", "--", "s.py", "--with"]),
    "help": (["--help"], ["--help"]),
}


@pytest.mark.parametrize(("given", "expected"), REWRITES.values(), ids=REWRITES)
def test_everything_behind_the_script_is_the_scripts(given: list[str], expected: list[str]) -> None:
    assert rewrite_arguments(given) == expected
