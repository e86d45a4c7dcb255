"""How well sampled paths stand for a distribution of paths.

The distance of two paths is the root mean square over their rows of the distance of their points, in m.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

LEAST_SHARE = 0.05
"""A route belongs to the data if at least this share of the reference paths takes it."""

Array = NDArray[np.floating]


def energy_score(samples: Array, references: Array) -> float:
    """Mean over references y of E|x - y| - E|x - x'| / 2, unbiased, in m (Gneiting & Raftery 2007, Sec. 4.3).

    ``samples`` (K, H, 2), ``references`` (M, H, 2), m. The least is that of the references' own distribution.
    """
    x, y = _flat(samples), _flat(references)
    own = float(pdist(x).mean()) if len(x) > 1 else 0.0
    return float(cdist(x, y).mean()) - 0.5 * own


def spread_and_error(samples: Array, references: Array) -> tuple[float, float]:
    """Variance of the samples, (K + 1) / K of it, and mean square error of their mean, m^2.

    For samples of the references' distribution both have the same expectation.
    """
    x, y = _flat(samples), _flat(references)
    mean, k = x.mean(axis=0), len(x)
    variance = float(np.square(x - mean).sum()) / max(1, k - 1)
    error = float(np.square(y - mean).sum(axis=1).mean())
    return variance * (k + 1) / k, error


def spread_skill(spreads: Sequence[float], errors: Sequence[float]) -> tuple[float, float | None]:
    """Root of total spread over total error, and its standard error over conditions by the jackknife."""
    spread, error = np.array(spreads, np.float64), np.array(errors, np.float64)
    ratio = float(np.sqrt(spread.sum() / error.sum()))
    n = len(spread)
    if n < 2:
        return ratio, None
    without = np.sqrt((spread.sum() - spread) / (error.sum() - error))
    return ratio, float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))


def data_routes(references: Sequence[Hashable]) -> set[Hashable]:
    """Routes that at least ``LEAST_SHARE`` of the references take."""
    return {r for r, n in Counter(references).items() if n >= LEAST_SHARE * len(references)}


def coverage(samples: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Share of the data's routes that at least one sample takes."""
    routes = data_routes(references)
    return len(routes & set(samples)) / len(routes)


def route_difference(samples: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Total variation distance between the shares of the routes, 0 (the same) to 1 (none in common)."""
    a, b = Counter(samples), Counter(references)
    return 0.5 * sum(abs(a[r] / len(samples) - b[r] / len(references)) for r in a.keys() | b.keys())


def _flat(paths: Array) -> NDArray[np.float64]:
    """Paths (N, H, 2) as vectors (N, 2 H) whose distances are those of the paths."""
    flat: NDArray[np.float64] = np.asarray(paths, np.float64).reshape(len(paths), -1)
    return flat / np.sqrt(np.shape(paths)[1])
