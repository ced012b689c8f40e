from __future__ import annotations

from dataclasses import replace

from vacc_deploy.runtime.latency import Latency, Profile, Span


def test_latencies_are_truncated_microseconds_with_linear_percentiles() -> None:
    latency = Latency.of([1_000_900, 2_000_900, 3_000_900, 4_000_900, 5_000_900], (50, 90, 99))
    assert (latency.avg_us, latency.min_us, latency.max_us) == (3000, 1000, 5000)
    assert latency.percentiles_us == {50: 3000, 90: 4600, 99: 4960}


def profile(processes: int = 1) -> Profile:
    spans = (Span(0, 10**9, 20, (50_000_000,) * 10), Span(10**9, 2 * 10**9, 20, (100_000_000,) * 10))
    return Profile("throughput", 2, processes, (0,), 1, 2, spans)


def test_throughput_is_summed_over_instances_and_the_wall_figure_is_not() -> None:
    assert profile().qps == 40
    assert profile().wall_qps == 20  # these two did not run at the same time
    assert profile().requests == 20


def test_the_block_reads_as_the_vendors() -> None:
    assert profile().to_text() == (
        "- number of instances: 2\n"
        "  devices: [0]\n"
        "  queue size: 1\n"
        "  batch size: 2\n"
        "  throughput (qps): 40.00\n"
        "  latency (us):\n"
        "    avg latency: 75000\n"
        "    min latency: 50000\n"
        "    max latency: 100000\n"
        "    p50 latency: 75000\n"
        "    p90 latency: 100000\n"
        "    p95 latency: 100000\n"
        "    p99 latency: 100000"
    )
    assert "number of processes: 3" in profile(processes=3).to_text()


def test_a_fraction_of_a_percent_keeps_its_name() -> None:
    fine = replace(profile(), percentiles=(50.0, 99.9))
    assert [line.strip() for line in fine.to_text().splitlines()[-2:]] == [
        "p50 latency: 75000",
        "p99.9 latency: 100000",
    ]
    assert {"p50", "p99.9"} <= set(fine.to_json()["latency_us"])


def test_json_has_the_same_figures() -> None:
    data = profile().to_json()
    assert data["throughput_qps"] == 40
    assert data["wall_throughput_qps"] == 20
    assert data["latency_us"] == {
        "avg": 75000, "min": 50000, "max": 100000, "p50": 75000, "p90": 100000, "p95": 100000, "p99": 100000,
    }  # fmt: skip
