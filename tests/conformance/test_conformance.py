"""A quick subset of the ONNX node tests; ``python tools/conformance.py`` runs all and writes the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.node_cases import Outcome, Status, load_cases, operators_of, reason_against, run_case
from tests.conformance.qdq_form import FLOAT_FORM
from tests.conformance.test_without_node_tests import CASES
from vacc_deploy.check.operators import SUPPORTED_OPERATORS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
QUICK = re.compile(
    "^test_(conv(transpose)?(_.*)?|basic_conv_.*|relu|leakyrelu|prelu_broadcast|sigmoid|tanh|add|add_bcast|sub|mul"
    "|concat_2d_axis_1|depthtospace.*|spacetodepth|globalaveragepool|averagepool_2d_ceil.*|averagepool_2d_same.*"
    "|maxpool_2d_(same|pads|ceil).*|gemm_default_(no|zero|vector)_bias|instancenorm.*|edge_pad|reflect_pad"
    "|constant_pad|slice|resize_upsample_scales_(linear|nearest)|quantizelinear|dequantizelinear|softmax_axis_1"
    "|top_k|cumsum_1d|clip|reduce_mean_keepdims_random)$"
)


pytestmark = pytest.mark.xdist_group("ONNX node tests")  # which take seconds to load


@pytest.fixture(scope="module")
def cases():
    return {case.name: case for case in load_cases()}


def test_quick_subset_passes(cases):
    names = [name for name in cases if QUICK.match(name)]
    assert len(names) > 35
    outcomes = [run_case(cases[name]) for name in names]
    bad = [outcome for outcome in outcomes if outcome.status not in (Status.PASSED, Status.UNSUPPORTED)]
    assert not bad
    assert sum(outcome.status is Status.PASSED for outcome in outcomes) > 30


def test_the_page_lists_every_case_that_is_supported(cases):
    page = PAGE.read_text()
    assert "Supported and not passed" not in page
    known = set(re.findall(r"^\| (\w+) \| \d+ \| \d+ \|$", page, re.M))
    missing = {
        operator
        for case in cases.values()
        if reason_against(case) is None
        for operator in operators_of(case)
        if operator not in known and f"| {operator} |" not in page and f" {operator}," not in page
    }
    assert not missing


def test_every_supported_operator_is_compiled_in_a_test():
    on_the_page = set(re.findall(r"^\| (\w+) \| (\d+) \| \2 \|$", PAGE.read_text(), re.M))
    passed = {operator for operator, count in on_the_page if int(count) > 0}
    assert not SUPPORTED_OPERATORS - passed - CASES.keys()


def test_unsupported_operators_have_a_reason(cases):
    runnable = SUPPORTED_OPERATORS | set(FLOAT_FORM)  # those in FLOAT_FORM are run as QDQ groups
    for case in cases.values():
        if not set(operators_of(case)) <= runnable:
            assert reason_against(case), case.name


def test_a_wrong_result_is_noticed(cases):
    import copy

    case = copy.deepcopy(cases["test_relu"])
    case.data_sets[0][1][0] = case.data_sets[0][1][0] + 1
    assert run_case(case).status is Status.WRONG


def test_outcomes_travel_as_lines():
    outcome = Outcome("test_x", ("Add",), Status.WRONG, "why | not")
    assert Outcome.from_json(outcome.to_json()) == outcome
