"""Wrong build YAMLs: every problem at once, with its place and the likely remedy."""

from __future__ import annotations

import pytest
from build_text import changed, problems

PROBLEMS: dict[str, tuple[tuple[str, str], tuple[str, str, str]]] = {
    "unknown-section": (
        ("workspace:", "worspace:"),
        ("f.yaml:30:1", "unknown key 'worspace' in the file", "did you mean 'workspace'?"),
    ),
    "missing-name": (("name: vdsr_int8\n", ""), ("f.yaml:1:1", "the file has no 'name'", "add 'name:'")),
    "misspelt-name": (
        ("name: vdsr", "nme: vdsr"),
        ("f.yaml:1:1", "unknown key 'nme' in the file", "did you mean 'name'?"),
    ),
    "frontend-type": (
        ("type: onnx", "type: onx"),
        ("f.yaml:3:9", "'onx' is not a value of frontend.type", "did you mean 'onnx'?"),
    ),
    "dtype": (
        ("dtype: int8", "dtype: int4"),
        ("f.yaml:10:10", "'int4' is not a value of backend.dtype", "did you mean 'int8'?"),
    ),
    "open-dimension": (
        ("[1, 3, 64, 96]", "[1, 3, -1, 96]"),
        (
            "f.yaml:7:12",
            "frontend.shape.input must hold whole numbers from 1 on, not -1: every dimension is fixed",
            "correct the value",
        ),
    ),
    "calibrate-mode": (
        ("percentile", "percentle"),
        (
            "f.yaml:14:21",
            "'percentle' is not a value of backend.quantize.calibrate_mode",
            "did you mean 'percentile'?",
        ),
    ),
    "quantize-key": (
        ("quantize_per_channel", "quantize_perchannel"),
        (
            "f.yaml:15:5",
            "unknown key 'quantize_perchannel' in backend.quantize",
            "did you mean 'quantize_per_channel'?",
        ),
    ),
    "boolean": (
        ("quantize_per_channel: true", "quantize_per_channel: maybe"),
        (
            "f.yaml:15:27",
            "backend.quantize.quantize_per_channel must be true or false, not 'maybe'",
            "correct the value",
        ),
    ),
    "opt-level": (
        ("opt_level: 2", "opt_level: high"),
        ("f.yaml:12:16", "backend.compile.opt_level must be a whole number, not 'high'", "correct the value"),
    ),
    "count": (
        ("get_data_num: 5", "get_data_num: 0"),
        (
            "f.yaml:21:19",
            "dataset.sampler.get_data_num must be greater than or equal to 1",
            "correct the value",
        ),
    ),
    "process-op": (
        ("type: Resize", "type: Rsize"),
        ("f.yaml:24:13", "unknown process op 'Rsize'", "did you mean 'Resize'?"),
    ),
    "op-key": (
        ("size: [64, 96]", "size: [64, 96]\n      adaptiv_side: long"),
        (
            "f.yaml:26:7",
            "unknown key 'adaptiv_side' in dataset.process_ops[1]",
            "did you mean 'adaptive_side'?",
        ),
    ),
    "op-size": (
        ("size: [64, 96]", "size: [64, -1]"),
        (
            "f.yaml:24:7",
            "dataset.process_ops[1]: "
            "size has -1 where pixels are counted; [N, -1] goes with adaptive_side: long",
            "correct the value",
        ),
    ),
    "mean-without-std": (
        ("      std: [0.5, 0.5, 0.5]\n", ""),
        ("f.yaml:26:7", "dataset.process_ops[2]: mean is given without std", "correct the value"),
    ),
    "zero-std": (
        ("std: [0.5, 0.5, 0.5]", "std: [0, 0.5, 0.5]"),
        (
            "f.yaml:26:7",
            "dataset.process_ops[2]: std holds a 0, by which nothing can be divided",
            "correct the value",
        ),
    ),
    "section-is-text": (
        ("workspace:\n  path: ./deploy_weights/", "workspace: here"),
        ("f.yaml:30:12", "workspace must be a section with keys below it, not 'here'", "correct the value"),
    ),
    "name-with-slash": (
        ("vdsr_int8", "a/b"),
        (
            "f.yaml:1:7",
            "name must be usable as a folder's name: the artifact goes to <path>/<name>/mod.*",
            "correct the value",
        ),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_problem(name: str) -> None:
    replacement, expected = PROBLEMS[name]
    assert problems(changed(replacement)) == [expected]


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    replacements = [
        PROBLEMS[name][0] for name in ("frontend-type", "dtype", "calibrate-mode", "count", "process-op")
    ]
    found = problems(changed(*replacements))
    assert [place for place, _, _ in found] == [
        "f.yaml:3:9", "f.yaml:10:10", "f.yaml:14:21", "f.yaml:21:19", "f.yaml:24:13"
    ]  # fmt: skip


def test_what_stands_below_a_misspelt_key_is_checked_too() -> None:
    text = changed(
        ("frontend:", "frontent:"),
        ("type: onnx", "type: onx"),
        ("checkpoint", "chekpoint"),
        ("[1, 3, 64, 96]", "[1, x]"),
    )
    assert problems(text) == [
        ("f.yaml:2:1", "unknown key 'frontent' in the file", "did you mean 'frontend'?"),
        ("f.yaml:3:9", "'onx' is not a value of frontent.type", "did you mean 'onnx'?"),
        ("f.yaml:4:3", "unknown key 'chekpoint' in frontend", "did you mean 'checkpoint'?"),
        (
            "f.yaml:7:12",
            "frontent.shape.input must hold whole numbers from 1 on, not 'x': every dimension is fixed",
            "correct the value",
        ),
    ]


def test_a_misspelt_key_beside_the_right_one_is_only_unknown() -> None:
    text = changed(("name: vdsr_int8", "name: vdsr_int8\nnme: 3"))
    assert problems(text) == [("f.yaml:2:1", "unknown key 'nme' in the file", "did you mean 'name'?")]


def test_problem_in_a_renamed_key_points_at_the_original() -> None:
    text = changed(("workspace:\n  path: ./deploy_weights/", "workspace:\n  work_dir: [1]"))
    assert problems(text)[0][:2] == ("f.yaml:31:13", "workspace.work_dir must be a word or a path, not [1]")
