"""Rate cap."""

import numpy as np
import pytest

from kdp_planner_ros.rate import RateLimit


def passed(arrivals_s, rate_hz):
    limit = RateLimit(rate_hz)
    return sum(limit.ready(int(t * 1e9)) for t in arrivals_s)


@pytest.mark.parametrize(("input_hz", "expected"), [(25, 250), (50, 500), (60, 500), (100, 500), (500, 500)])
def test_mean_rate_with_jitter(input_hz, expected):
    rng = np.random.default_rng(0)
    arrivals = 100 + np.arange(10 * input_hz) / input_hz + rng.uniform(-0.002, 0.002, 10 * input_hz)
    assert passed(np.sort(arrivals), 50.0) == pytest.approx(expected, rel=0.03)


def test_no_catching_up_after_a_pause():
    assert passed([0.0, 5.0, 5.001, 5.002, 5.003], 50.0) <= 3
