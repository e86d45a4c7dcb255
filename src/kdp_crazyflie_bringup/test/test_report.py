# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of the report against hand-made flights and published values."""

import json

import numpy as np
import pytest

from kdp_crazyflie_bringup.bench_flight import broken
from kdp_crazyflie_bringup.report import flight_row, summarise_flights
from kdp_crazyflie_bringup.scoring import FlightResult
from kdp_planner_ros.figures import quantiles_ms


def flight(number: int, tts_s: float | None, planner_ns: list[int], **changes: object) -> FlightResult:
    """A flight that succeeded when it has a time."""
    result = broken(number, 100 + number, 16, "")
    result.success, result.tts_s, result.reason = tts_s is not None, tts_s, ""
    result.planner_ns, result.e2e_ns = planner_ns, [3 * value for value in planner_ns]
    result.replan_hz, result.plans = 50.0, len(planner_ns)
    for name, value in changes.items():
        setattr(result, name, value)
    return result


def test_summary() -> None:
    """Counts, medians over flights, percentiles pooled over cycles."""
    rng = np.random.default_rng(0)
    samples = [rng.integers(1_000_000, 9_000_000, size=200).tolist() for _ in range(3)]
    flights = [
        flight(1, 10.0, samples[0], safe_actions=4, cpu_percent={"planner": 20.0}),
        flight(2, 12.0, samples[1], cpu_percent={"planner": 30.0}),
        flight(3, None, samples[2], collided=True, replan_hz=None),
    ]
    summary = summarise_flights(flights)
    assert (summary["flights"], summary["success"], summary["collisions"]) == (3, 2, 1)
    assert summary["tts_s"] == 11.0
    pooled = sorted(samples[0] + samples[1] + samples[2])
    assert summary["planner_ms"]["n"] == 600
    assert summary["planner_ms"]["p50"] == pytest.approx((pooled[299] + pooled[300]) / 2e6, abs=1e-3)
    assert pooled[590] / 1e6 <= summary["planner_ms"]["p99"] <= pooled[595] / 1e6
    assert summary["e2e_ms"]["p50"] == pytest.approx(3 * summary["planner_ms"]["p50"], abs=2e-3)
    assert summary["safe_action_share"] == pytest.approx(4 / 600, abs=1e-5)
    assert summary["cpu_percent"] == {"planner": 25.0}


def test_empty_and_broken_are_json() -> None:
    """Nothing flown, and a flight without a single plan, still make strict JSON."""
    assert quantiles_ms([]) == {"p50": None, "p95": None, "p99": None, "n": 0}
    text = json.dumps([summarise_flights([]), flight_row(broken(1, 2, 16, "planner ended"))], allow_nan=False)
    assert json.loads(text)[1]["reason"] == "graph: planner ended"
