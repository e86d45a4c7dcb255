"""Figures that every report of runs has: quantiles, spreads, intervals; pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


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
