"""Figures against published values and hand-made ones."""

from kdp_planner_ros.cpu_load import CpuLoad
from kdp_planner_ros.figures import busy_line, mean_cpu, quantiles_ms, spread


def test_quantiles_are_in_ms_and_empty_is_none() -> None:
    assert quantiles_ms([1_000_000, 2_000_000, 4_000_000]) == {"p50": 2.0, "p95": 3.8, "p99": 3.96, "n": 3}
    assert quantiles_ms([]) == {"p50": None, "p95": None, "p99": None, "n": 0}


def test_spread_and_mean_load() -> None:
    assert spread([3.0, 1.0, 2.5]) == {"min": 1.0, "median": 2.5, "max": 3.0}
    assert spread([]) == {"min": None, "median": None, "max": None}
    assert mean_cpu([{"a": 10.0}, {"a": 20.0, "b": 5.0}]) == {"a": 15.0, "b": 5.0}


def test_a_busy_machine_is_told():
    calm = {"replan_hz": 49.9, "e2e_ms": {"p99": 13.0}, "cpu_percent": {}}
    assert busy_line(calm) == ""
    assert busy_line({**calm, "replan_hz": None}) == ""  # nothing was measured
    assert "39 of 50 plans" in busy_line({**calm, "replan_hz": 39.0})
    late = busy_line({**calm, "e2e_ms": {"p99": 70.4}, "cpu_percent": {CpuLoad.STOLEN: 25.0}})
    assert "p99 70 ms" in late and "25 % of a core" in late
