"""Joint trajectories: interpolation, order of the names, refusals."""

import numpy as np
import pytest

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.safety import CommandRefused
from kdp_so100_bringup.trajectory import Trajectory

START = (0.0,) * 6


def test_it_goes_straight_from_here_through_the_points():
    points = [(1.0, [1.0] * 6), (3.0, [0.0] * 6)]
    trajectory = Trajectory(JOINTS, points, START, 100.0)
    for t, expected in ((100.0, 0.0), (100.25, 0.25), (101.0, 1.0), (102.0, 0.5), (102.9, 0.05)):
        targets, done = trajectory.at(t)
        np.testing.assert_allclose(targets, expected, atol=1e-12)
        assert not done
    assert trajectory.at(103.0) == ((0.0,) * 6, True)


def test_names_may_come_in_any_order():
    names = JOINTS[::-1]
    targets, done = Trajectory(names, [(0.0, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])], START, 0.0).at(0.0)
    assert targets == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0) and done


@pytest.mark.parametrize(
    ("names", "points", "named"),
    [
        (JOINTS[:5], [(1.0, [0.0] * 5)], "expected all of"),
        ((*JOINTS[:5], "thumb"), [(1.0, [0.0] * 6)], "thumb"),
        (JOINTS, [], "no points"),
        (JOINTS, [(1.0, [0.0] * 5)], "5 positions"),
        (JOINTS, [(1.0, [float("nan")] * 6)], "not finite"),
        (JOINTS, [(1.0, [0.0] * 6), (1.0, [0.0] * 6)], "times must grow"),
        (JOINTS, [(-1.0, [0.0] * 6)], "times must grow"),
        (JOINTS, [(float("nan"), [0.0] * 6)], "times must grow"),
    ],
)
def test_what_cannot_be_followed_is_refused(names, points, named):
    with pytest.raises(CommandRefused, match=named):
        Trajectory(names, points, START, 0.0)
