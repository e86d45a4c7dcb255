"""Statistics of features as lerobot keeps them: per episode, and aggregated over the data set.

The aggregate's quantiles are the count-weighted means of the episodes' quantiles, as lerobot's
``aggregate_stats`` has them; minimum, maximum, mean and standard deviation are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Stats = dict[str, NDArray[Any]]


def feature_stats(values: NDArray[Any]) -> Stats:
    """Statistics over the rows of (T, d): min, max, mean, std, quantiles (d,), count (1,)."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    stats: Stats = {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
    }
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return stats | dict(zip(QUANTILES, quantiles, strict=True))


def aggregate(parts: Sequence[Stats]) -> Stats:
    """Statistics of all rows together from those of its parts (pooled variance)."""
    counts = np.array([part["count"][0] for part in parts], np.float64)
    weights = (counts / counts.sum())[:, None]
    means = np.stack([part["mean"] for part in parts])
    mean = (weights * means).sum(axis=0)
    variances = np.stack([part["std"] ** 2 for part in parts]) + (means - mean) ** 2
    total: Stats = {
        "min": np.stack([part["min"] for part in parts]).min(axis=0),
        "max": np.stack([part["max"] for part in parts]).max(axis=0),
        "mean": mean,
        "std": np.sqrt((weights * variances).sum(axis=0)),
        "count": np.array([int(counts.sum())]),
    }
    return total | {name: (weights * np.stack([p[name] for p in parts])).sum(axis=0) for name in QUANTILES}


def as_lists(stats: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """The same as plain lists, for JSON and Parquet."""
    return {name: value.tolist() for name, value in stats.items()}
