"""Wilson's interval against scipy and published values."""

import pytest
from scipy.stats import binomtest

from kdp_core.proportions import wilson


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (47, 60), (199, 200), (1, 1)])
def test_against_scipy(successes: int, n: int) -> None:
    expected = binomtest(successes, n).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_against_published_values() -> None:
    """Newcombe 1998, table I (Wilson without continuity correction)."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
