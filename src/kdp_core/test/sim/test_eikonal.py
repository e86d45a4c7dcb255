"""Cost-to-go against Euclid, against Dijkstra's bounds, and the interpolation against SciPy."""

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from kdp_core.sim.eikonal import cost_to_go, interpolate


def centres(shape: tuple[int, int], cell: float) -> np.ndarray:
    return np.stack(np.meshgrid(*((np.arange(n) + 0.5) * cell for n in shape), indexing="ij"), axis=-1)


@pytest.mark.parametrize("cell", [0.1, 0.05])
def test_without_obstacles_it_is_the_distance(cell: float) -> None:
    shape, goal = (round(3 / cell), round(2 / cell)), np.array([[1.13, 0.87], [0.2, 1.9]])
    field = cost_to_go(np.ones((2, *shape)), goal, cell)
    for i in range(2):
        distance = np.linalg.norm(centres(shape, cell) - goal[i], axis=-1)
        error = field[i] - distance
        assert error.min() > -1e-3  # upwind differences never come out short
        assert error.max() < 0.6 * cell * (1 + np.log(distance.max() / cell))  # first order in the cell


def test_twice_the_cost_is_twice_the_cost_to_go() -> None:
    cost, goal = np.ones((1, 20, 20)), np.array([[0.5, 1.2]])
    np.testing.assert_allclose(cost_to_go(2 * cost, goal, 0.1), 2 * cost_to_go(cost, goal, 0.1), rtol=1e-4)


def test_between_dijkstras_bounds() -> None:
    """Paths along four neighbours are at most sqrt(2) too long, so Dijkstra bounds the field."""
    shape, cell = (25, 22), 0.1
    cost = np.exp(gaussian_filter(np.random.default_rng(0).normal(size=shape), 3) * 3)
    cost[10:12, :17] = 30.0  # a wall to go round
    number = np.arange(cost.size).reshape(shape)
    pairs = [
        (number[1:], number[:-1], (cost[1:] + cost[:-1])),
        (number[:, 1:], number[:, :-1], cost[:, 1:] + cost[:, :-1]),
    ]
    a, b, w = (np.concatenate([p[i].ravel() for p in pairs]) for i in range(3))
    graph = coo_array((0.5 * cell * w, (a, b)), shape=(cost.size, cost.size)).tocsr()
    goal = (4, 5)
    exact = dijkstra(graph, directed=False, indices=number[goal]).reshape(shape)
    field = cost_to_go(cost[None], (np.array([goal]) + 0.5) * cell, cell)[0]
    away_from_wall = np.r_[0:9, 13:25]  # at the wall's edge the cost jumps, which the two read differently
    assert (field <= exact + 0.02)[away_from_wall].all()
    assert (field >= exact / np.sqrt(2) - 0.02).all()
    assert field[20, 5] < field[10, 5]  # round the wall is cheaper than into it


def test_fields_do_not_depend_on_chunks() -> None:
    rng = np.random.default_rng(1)
    cost, goal = rng.uniform(0.5, 3, (5, 12, 9)), rng.uniform(0.1, 0.8, (5, 2))
    whole = cost_to_go(cost, goal, 0.1)
    np.testing.assert_allclose(cost_to_go(cost, goal, 0.1, chunk=2), whole, atol=2e-4)


def test_interpolation_against_scipy() -> None:
    rng = np.random.default_rng(2)
    field, cell = rng.normal(size=(3, 9, 7)), 0.2
    points = rng.uniform((0.1, 0.1), (1.7, 1.3), (40, 2))
    index = rng.integers(0, 3, 40)
    axes = tuple((np.arange(n) + 0.5) * cell for n in (9, 7))
    for value, i, point in zip(interpolate(field, index, points, cell), index, points, strict=True):
        assert value == pytest.approx(RegularGridInterpolator(axes, field[i])(point)[0], abs=2e-3)
