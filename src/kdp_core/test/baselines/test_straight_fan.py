"""The fan of straight lines against its description."""

import numpy as np
import pytest

from kdp_core.baselines.straight_fan import SPEED_M_S, StraightFan


def propose(goal: tuple[float, float, float], k: int) -> np.ndarray:
    windows, scores = StraightFan().propose(
        np.zeros(6), np.concatenate([goal, np.zeros(121)]), np.zeros((k, 1))
    )
    assert windows.shape == (k, 32, 9) and (scores == 0).all()
    return windows


def test_directions() -> None:
    windows = propose((3.0, 4.0, 0.0), 8)
    heading = windows[:, 1, :2] / np.linalg.norm(windows[:, 1, :2], axis=1, keepdims=True)
    start = np.arctan2(4.0, 3.0)
    for i in range(8):
        np.testing.assert_allclose(heading[i], [np.cos(start + i * np.pi / 4), np.sin(start + i * np.pi / 4)])


def test_constant_speed_and_commands() -> None:
    windows = propose((3.0, 4.0, 0.0), 5)
    np.testing.assert_array_equal(windows[..., 3:6], windows[..., 6:])
    np.testing.assert_allclose(np.linalg.norm(windows[..., 3:5], axis=-1), SPEED_M_S)
    steps = np.diff(windows[..., :2], axis=1)
    np.testing.assert_allclose(steps, 0.1 * windows[:, 1:, 3:5], atol=1e-12)
    assert (windows[:, 0, :3] == 0).all()


@pytest.mark.parametrize("distance", [0.05, 0.5])
def test_it_slows_down_and_stops_at_a_near_goal(distance: float) -> None:
    window = propose((0.0, distance, 0.0), 1)[0]
    assert np.linalg.norm(window[0, 3:5]) == pytest.approx(min(SPEED_M_S, 1.8 * distance))
    np.testing.assert_allclose(window[-1, :2], [0, distance], atol=1e-9)
    assert window[:, 1].max() <= distance + 1e-9


def test_at_the_goal_everything_is_finite() -> None:
    assert np.isfinite(propose((0.0, 0.0, 0.0), 3)).all()


def test_it_climbs_to_the_goal_within_limits() -> None:
    window = propose((4.0, 0.0, 1.0), 1)[0]
    assert window[0, 5] == pytest.approx(0.4)
    assert (np.diff(window[:, 2]) > 0).all() and window[-1, 2] < 1.0
