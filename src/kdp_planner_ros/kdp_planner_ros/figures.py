"""Figures that every report of runs has: quantiles, spreads, intervals; pure functions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from kdp_planner_ros.cpu_load import CpuLoad


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


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Minimum, median and maximum, rounded to a thousandth."""
    if not values:
        return {"min": None, "median": None, "max": None}
    numbers = min(values), float(np.median(values)), max(values)
    return dict(zip(("min", "median", "max"), (round(v, 3) for v in numbers), strict=True))


def mean_cpu(loads: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean load of each process over the runs, percent of one core."""
    names = sorted({name for load in loads for name in load})
    return {name: round(float(np.mean([load[name] for load in loads if name in load])), 1) for name in names}


def busy_line(summary: dict[str, Any], rate_hz: float = 50.0) -> str:
    """A line that says that the machine was too busy for the figures to count, "" if it was not.

    Args:
        summary: with `replan_hz`, `e2e_ms` and `cpu_percent` as the reports have them.
        rate_hz: the rate that was wanted.
    """
    hertz, late = summary["replan_hz"], summary["e2e_ms"]["p99"]
    if hertz is None or late is None or (hertz >= 0.9 * rate_hz and late <= 2000.0 / rate_hz):
        return ""
    stolen = summary["cpu_percent"].get(CpuLoad.STOLEN, 0.0)
    host = f", {stolen:.0f} % of a core taken by the host" if stolen >= 1.0 else ""
    return (
        f"this machine was too busy for real time: {hertz:.0f} of {rate_hz:.0f} plans per second, end to end "
        f"p99 {late:.0f} ms, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores{host}; "
        "latencies and failures may say more of it than of the planner"
    )
