# SPDX-License-Identifier: GPL-3.0-or-later
"""From flight results to the numbers that are reported; pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdp_crazyflie_bringup.scoring import FlightResult


def quantiles_ms(values_ns: Sequence[int]) -> dict[str, float | int | None]:
    """p50, p95, p99 in ms and n; None where there is nothing."""
    if not len(values_ns):
        return {"p50": None, "p95": None, "p99": None, "n": 0}
    p50, p95, p99 = np.percentile(np.asarray(values_ns, dtype=np.float64) * 1e-6, [50, 95, 99])
    return {
        "p50": round(float(p50), 3),
        "p95": round(float(p95), 3),
        "p99": round(float(p99), 3),
        "n": len(values_ns),
    }


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion (Wilson 1927); (0, 1) without trials."""
    if n == 0:
        return 0.0, 1.0
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


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
        "tts_s": _spread(times)["median"],
        "tts_s_spread": _spread(times),
        "replan_hz": _spread(rates)["median"],
        "replan_hz_spread": _spread(rates),
        "planner_ms": quantiles_ms([value for r in results for value in r.planner_ns]),
        "e2e_ms": quantiles_ms([value for r in results for value in r.e2e_ns]),
        "e2e_p50_per_flight_ms": _spread([float(np.median(r.e2e_ns)) * 1e-6 for r in results if r.e2e_ns]),
        "planner_p50_per_flight_ms": _spread(
            [float(np.median(r.planner_ns)) * 1e-6 for r in results if r.planner_ns]
        ),
        "safe_action_share": _share(results),
        "cpu_percent": _mean_cpu(results),
    }


def flight_row(result: FlightResult) -> dict[str, Any]:
    """One flight without its long lists."""
    row = result.to_dict()
    planner, e2e = row.pop("planner_ns"), row.pop("e2e_ns")
    row.pop("path")
    return {**row, "planner_ms": quantiles_ms(planner), "e2e_ms": quantiles_ms(e2e)}


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """Minimum, median and maximum, rounded to a thousandth."""
    if not values:
        return {"min": None, "median": None, "max": None}
    numbers = min(values), float(np.median(values)), max(values)
    return dict(zip(("min", "median", "max"), (round(v, 3) for v in numbers), strict=True))


def _share(results: Sequence[FlightResult]) -> float | None:
    plans = sum(r.plans for r in results)
    return round(sum(r.safe_actions for r in results) / plans, 5) if plans else None


def _mean_cpu(results: Sequence[FlightResult]) -> dict[str, float]:
    """Mean load of each process over the flights, percent of one core."""
    names = sorted({name for r in results for name in r.cpu_percent})
    return {
        name: round(float(np.mean([r.cpu_percent[name] for r in results if name in r.cpu_percent])), 1)
        for name in names
    }
