# SPDX-License-Identifier: GPL-3.0-or-later
"""From flight results to the numbers that are reported; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kdp_core.proportions import wilson
from kdp_crazyflie_bringup.scoring import FlightResult
from kdp_planner_ros.figures import mean_cpu, quantiles_ms, spread


def summarise_flights(results: Sequence[FlightResult]) -> dict[str, Any]:
    """Counts, times and latencies over all flights. `tts_s` and `replan_hz` are medians over flights."""
    successes = sum(r.success for r in results)
    times = [r.tts_s for r in results if r.tts_s is not None]
    rates = [r.replan_hz for r in results if r.replan_hz is not None]
    low, high = wilson(successes, len(results))
    return {
        "flights": len(results),
        "success": successes,
        "success_rate": successes / len(results) if results else None,
        "success_wilson95": [round(low, 4), round(high, 4)],
        "collisions": sum(r.collided for r in results),
        "fence_breaches": sum(r.outside for r in results),
        "locked": sum(r.locked for r in results),
        "tts_s": spread(times)["median"],
        "tts_s_spread": spread(times),
        "replan_hz": spread(rates)["median"],
        "replan_hz_spread": spread(rates),
        "planner_ms": quantiles_ms([value for r in results for value in r.planner_ns]),
        "e2e_ms": quantiles_ms([value for r in results for value in r.e2e_ns]),
        "e2e_p50_per_flight_ms": spread([float(np.median(r.e2e_ns)) * 1e-6 for r in results if r.e2e_ns]),
        "planner_p50_per_flight_ms": spread(
            [float(np.median(r.planner_ns)) * 1e-6 for r in results if r.planner_ns]
        ),
        "safe_action_share": _share(results),
        "cpu_percent": mean_cpu([r.cpu_percent for r in results]),
    }


def flight_row(result: FlightResult) -> dict[str, Any]:
    """One flight without its long lists."""
    row = result.to_dict()
    planner, e2e = row.pop("planner_ns"), row.pop("e2e_ns")
    row.pop("path")
    return {**row, "planner_ms": quantiles_ms(planner), "e2e_ms": quantiles_ms(e2e)}


def _share(results: Sequence[FlightResult]) -> float | None:
    plans = sum(r.plans for r in results)
    return round(sum(r.safe_actions for r in results) / plans, 5) if plans else None
