"""Scores of sampled paths against float64 loops, closed forms for Gaussians, and hand computation."""

import math

import numpy as np
import pytest
from scipy.special import gammaln

from kdp_core.benchmarks.routes_scores import (
    coverage,
    data_routes,
    energy_score,
    route_difference,
    spread_and_error,
    spread_skill,
)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square over rows, one at a time."""
    return math.sqrt(sum((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for p, q in zip(a, b, strict=True)) / len(a))


def test_energy_score_is_that_of_loops() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 7, 2)), rng.standard_normal((4, 7, 2)) + 0.3
    to_data = sum(distance(a, b) for a in x for b in y) / 20
    own = sum(distance(x[i], x[j]) for i in range(5) for j in range(5) if i != j) / 20
    assert energy_score(x, y) == pytest.approx(to_data - 0.5 * own, rel=1e-12)


def test_energy_score_of_gaussians_is_the_closed_form() -> None:
    """E|N(0, 2 s^2 I_F)| = 2 s gamma((F + 1) / 2) / gamma(F / 2); one row, so F = 2: s sqrt(pi)."""
    rng, rows = np.random.default_rng(1), 3
    dimensions = 2 * rows
    chi = math.exp(gammaln((dimensions + 1) / 2) - gammaln(dimensions / 2))
    x, y = rng.standard_normal((2, 1500, rows, 2))
    right = (2.0 * chi - 0.5 * 2.0 * chi) / math.sqrt(rows)
    assert energy_score(x, y) == pytest.approx(right, rel=0.01)
    narrow = (math.sqrt(2.0) * math.sqrt(1.25) * chi - 0.5 * 0.5 * 2.0 * chi) / math.sqrt(rows)
    assert energy_score(0.5 * x, y) == pytest.approx(narrow, rel=0.01) and narrow > 1.02 * right


@pytest.mark.parametrize(("scale", "shift", "expected"), [(1, 0, 1), (0.5, 0, 0.5), (1, 1, 1 / math.sqrt(2))])
def test_spread_over_skill_of_gaussians(scale: float, shift: float, expected: float) -> None:
    """A shift of 1 on both axes adds 2 to an error of 2 (variance per row of the distance)."""
    rng, k = np.random.default_rng(2), 8
    found = []
    for _ in range(400):
        found.append(
            spread_and_error(scale * rng.standard_normal((k, 4, 2)) + shift, rng.standard_normal((9, 4, 2)))
        )
    ratio, error = spread_skill([s for s, _ in found], [e for _, e in found])
    # (K + 1) / K s^2 against 1 + s^2 / K, and the shift
    exact = math.sqrt(scale**2 * (k + 1) / k / (1 + scale**2 / k + shift**2))
    assert ratio == pytest.approx(exact, rel=0.02) and exact == pytest.approx(expected, rel=0.06)
    assert error is not None and 0.001 < error < 0.02


def test_spread_skill_by_hand() -> None:
    """Samples 0 and 2 (mean 1), references 1 and 4: variance 2 x 3/2, error (0 + 9) / 2."""
    x = np.array([[[0.0, 0.0]], [[2.0, 0.0]]])
    y = np.array([[[1.0, 0.0]], [[4.0, 0.0]]])
    assert spread_and_error(x, y) == (pytest.approx(3.0), pytest.approx(4.5))
    assert spread_skill([3.0], [4.5]) == (pytest.approx(math.sqrt(3 / 4.5)), None)


def test_jackknife_is_the_standard_error_for_a_mean() -> None:
    """With errors of 1 each, the squared ratio is a mean; the delta method gives the root's error."""
    rng = np.random.default_rng(3)
    spreads = rng.uniform(0.9, 1.1, 200)
    ratio, error = spread_skill(spreads.tolist(), [1.0] * 200)
    assert error == pytest.approx(spreads.std(ddof=1) / math.sqrt(200) / (2 * ratio), rel=0.01)


def test_routes_by_hand() -> None:
    """Of 40 journeys 1 by d (2.5 %) does not make d a route of the data; samples miss b."""
    references = ["a"] * 20 + ["b"] * 10 + ["c"] * 9 + ["d"]
    assert data_routes(references) == {"a", "b", "c"}
    assert coverage(["a", "a", "c", "x"], references) == pytest.approx(2 / 3)
    assert coverage(["x"], references) == 0.0
    assert route_difference(["a", "b"], ["a", "a"]) == 0.5
    assert route_difference(["x"], references) == 1.0 and route_difference(references, references) == 0.0
