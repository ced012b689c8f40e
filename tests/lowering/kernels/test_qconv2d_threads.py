"""The number of threads never changes a byte."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from qconv2d_cases import Case, build_and_run, random_numbers

from vacc_deploy.lowering.kernels.convolution.qconv2d import Algorithm
from vacc_deploy.lowering.target import resolve_target

CASES: dict[Algorithm, Case] = {
    "direct": Case(5, 65, 9, 13, zero_point=3),
    "winograd": Case(64, 64, 21, 22, zero_point=128),
    "narrow": Case(64, 3, 9, 13, zero_point=128),
}


def digest() -> str:
    """One number for the outputs of all cases."""
    total = sha256()
    for algorithm, case in CASES.items():
        numbers = random_numbers(case)
        numbers.weights[:] = numbers.weights // 2
        total.update(build_and_run(case, numbers, resolve_target("native"), algorithm=algorithm).tobytes())
    return total.hexdigest()


def test_one_and_two_threads_give_the_same_bytes() -> None:
    # TVM reads the number once per process, at its first parallel call.
    folder = Path(__file__).parent
    digests = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "TVM_NUM_THREADS": threads, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-c", "import test_qconv2d_threads as t; print(t.digest())"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.add(done.stdout.strip())
    assert digests == {digest()}
