"""The number of threads never changes a byte."""

from __future__ import annotations

from plane_harness import NATIVE, digests_by_threads, lines_of_two_threads, to_plane
from qconv2d_cases import Case, random_numbers

from vacc_deploy.lowering.kernels.convolution.integer import qconv2d
from vacc_deploy.lowering.kernels.convolution.integer.qconv2d import Algorithm

CASES: dict[str, tuple[Algorithm, Case]] = {
    "direct": ("direct", Case(5, 65, 9, 13, zero_point=3)),
    "winograd": ("winograd", Case(64, 64, 21, 22, zero_point=128)),
    "winograd_heavy": ("winograd", Case(128, 256, 30, 34, zero_point=128)),
    "narrow": ("narrow", Case(64, 3, 9, 13, zero_point=128)),
}


def test_one_and_two_threads_give_the_same_bytes() -> None:
    lines = lines_of_two_threads(__file__)
    assert [name for name, _, _ in lines] == list(CASES)
    assert all(one == two for _, one, two in lines), lines


def main() -> None:
    for name, (algorithm, case) in CASES.items():
        numbers, spec = random_numbers(case), case.spec()
        numbers.weights[:] = numbers.weights // 2
        kernel = qconv2d.build(spec, NATIVE, numbers.layer, algorithm=algorithm)
        y = spec.target
        print(
            name,
            *digests_by_threads(kernel, [to_plane(numbers.source, spec.source)], [(y.shape, y.dtype)]),
        )


if __name__ == "__main__":
    main()
