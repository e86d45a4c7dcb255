"""Journeys in mazes with loops: routes by hand and by brute force, journeys by their statistics."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from kdp_core.exceptions import ConfigError
from kdp_core.sim.maze2d import Maze2D
from kdp_core.sim.maze2d_layout import ROUTES, layout
from kdp_core.sim.maze2d_options import MazeCollectOptions
from kdp_core.sim.maze2d_routes import (
    LONGEST,
    collect_routes,
    draw_journey,
    routes_between,
    simple_routes,
    travel,
)


def test_routes_of_the_ring_by_hand() -> None:
    clockwise = ((1, 2), (1, 3), (2, 3), (3, 3))
    other = ((2, 1), (3, 1), (3, 2), (3, 3))
    assert routes_between("ring", (1, 1), (3, 3)) == (clockwise, other)
    assert routes_between("ring", (1, 1), (1, 3)) == (
        ((1, 2), (1, 3)),
    )  # the other way is three times as long


def test_longer_routes_count_up_to_the_limit() -> None:
    """A block of 1 x 2: from a corner to the next one 3 cells, or 7 the other way round; halfway 5 and 5."""
    free = np.zeros((5, 6), bool)
    free[1:4, 1:5] = True
    free[2, 2:4] = False
    assert [len(r) for r in simple_routes(free, (1, 1), (1, 4))] == [3]
    assert [len(r) for r in simple_routes(free, (1, 1), (3, 4))] == [5, 5]
    assert [len(r) for r in simple_routes(free, (1, 2), (3, 3))] == [5, 5]
    assert [len(r) for r in simple_routes(free, (1, 2), (3, 2))] == [4]  # 6 > 1.4 x 4
    free[2, 2] = True  # opens a square: (1, 1) to (2, 3)'s neighbour by 2 or more ways
    assert [len(r) for r in simple_routes(free, (1, 1), (2, 2))] == [2, 2]


def test_routes_are_all_simple_ways_up_to_the_limit() -> None:
    """Against all sequences of distinct cells of a 2 x 3 room."""
    free = np.zeros((4, 5), bool)
    free[1:3, 1:4] = True
    cells = [(int(i), int(j)) for i, j in np.argwhere(free)]
    start, target = (1, 1), (2, 3)
    ways = set()
    for length in range(len(cells)):
        for middle in permutations([c for c in cells if c not in (start, target)], length):
            way = (start, *middle, target)
            steps = pairwise(way)
            if all(abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1 for a, b in steps):
                ways.add(way[1:])
    assert max(len(way) for way in ways) > LONGEST * 3 >= 4
    assert set(simple_routes(free, start, target)) == {way for way in ways if len(way) <= LONGEST * 3}


def test_blocks_have_as_many_routes_as_a_lattice() -> None:
    """Corner to corner of a lattice of 2 x 2: 4 over 2 ways; one wide and two high: 3."""
    assert len(routes_between("blocks", (1, 1), (5, 5))) == 6
    assert len(routes_between("blocks", (1, 1), (3, 5))) == len(routes_between("blocks", (5, 1), (1, 3))) == 3
    assert len(routes_between("blocks", (1, 1), (3, 3))) == 2


def test_no_route_through_walls() -> None:
    free = np.zeros((3, 5), bool)
    free[1, 1] = free[1, 3] = True
    assert simple_routes(free, (1, 1), (1, 3)) == ()
    with pytest.raises(ConfigError, match="'ring' has no two stations with 3 routes between them"):
        draw_journey("ring", np.random.default_rng(0), least_routes=3)


@pytest.mark.parametrize("name", ROUTES)
def test_journeys_end_at_rest_at_their_goals_within_a_window(name: str) -> None:
    maze, rng = Maze2D(layout(name)), np.random.default_rng(1)
    stations = {tuple(cell) for cell in layout(name).stations}
    for _ in range(25):
        state, goal = draw_journey(name, rng)
        observations, actions = travel(maze, state, goal, rng)
        assert len(observations) == len(actions) <= layout(name).horizon
        np.testing.assert_array_equal(observations[0], state)
        assert {tuple(np.rint(state[:2])), tuple(np.rint(goal))} <= stations
        assert np.linalg.norm(observations[-1, :2] - goal) < 0.03
        assert np.linalg.norm(observations[-1, 2:]) < 0.2
        assert not layout(name).in_wall(observations[:, :2]).any() and np.abs(actions).max() <= 1.0


def test_routes_are_drawn_evenly() -> None:
    """Of 120 journeys around the ring about half go either way: standard deviation 5.5."""
    maze, rng = Maze2D(layout("ring")), np.random.default_rng(2)
    state, goal = np.array([1.0, 1.0, 0.0, 0.0]), np.array([3.0, 3.0])
    by_row_first = [travel(maze, state, goal, rng)[0][40:60, 0].mean() > 1.5 for _ in range(120)]
    assert 60 - 22 < sum(by_row_first) < 60 + 22


def test_data_set_is_whole_journeys_and_repeats() -> None:
    options = MazeCollectOptions(steps=1500, seed=3)
    data = collect_routes("ring", options)
    ends = np.flatnonzero(data["timeouts"])
    assert ends[-1] == len(data["observations"]) - 1 >= 1499 and len(ends) > 8
    for first, last in zip(np.r_[0, ends[:-1] + 1], ends, strict=True):
        goals = data["infos/goal"][first : last + 1]
        assert (goals == goals[0]).all()
        moved = np.diff(data["observations"][first : last + 1, :2], axis=0)
        np.testing.assert_allclose(moved, 0.01 * data["observations"][first + 1 : last + 1, 2:], atol=1e-4)
        assert np.linalg.norm(data["observations"][last, :2] - goals[0]) < 0.03
    assert all((data[k] == v).all() for k, v in collect_routes("ring", options).items())
