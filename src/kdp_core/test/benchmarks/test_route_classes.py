"""Homotopy classes against routes that are known cell by cell, bent, looped and cut short through a block."""

from itertools import pairwise

import numpy as np
import pytest

from kdp_core.benchmarks.route_classes import block_centres, route_class
from kdp_core.sim.maze2d_layout import Layout, layout
from kdp_core.sim.maze2d_routes import Route, routes_between

CENTRE = np.array([-0.2, -0.2])


def path_of(start: tuple[int, int], route: Route, rng: np.random.Generator | None = None) -> np.ndarray:
    """Through the centres of the cells, 20 points a cell, shaken by up to 0.4 m."""
    corners = np.array([start, *route], float) + CENTRE
    share = np.linspace(0, 1, 20, endpoint=False)[:, None]
    parts = [a + share * (b - a) for a, b in pairwise(corners)]
    path = np.concatenate([*parts, corners[-1:]])
    if rng is not None:
        path[1:-1] += rng.uniform(-0.4, 0.4, path[1:-1].shape)
    return path


def test_centres_by_hand() -> None:
    np.testing.assert_allclose(block_centres(layout("ring")), [[1.8, 1.8]])
    np.testing.assert_allclose(
        block_centres(layout("blocks")), [[1.8, 1.8], [1.8, 3.8], [3.8, 1.8], [3.8, 3.8]]
    )
    assert len(block_centres(layout("umaze"))) == 0  # its wall reaches the edge


def test_a_block_of_several_cells_has_one_centre() -> None:
    free = np.zeros((5, 6), bool)
    free[1:4, 1:5] = True
    free[2, 2:4] = False
    wide = Layout("ring", free, (1, 1), 1, 1, (0.0, 1.0), np.zeros((0, 2), np.int64))
    np.testing.assert_allclose(block_centres(wide), [[1.8, 2.3]])


@pytest.mark.parametrize(("name", "start", "goal"), [("ring", (1, 1), (3, 3)), ("blocks", (5, 5), (1, 1))])
def test_routes_have_classes_of_their_own_that_bending_does_not_change(
    name: str, start: tuple[int, int], goal: tuple[int, int]
) -> None:
    centres, rng = block_centres(layout(name)), np.random.default_rng(0)
    routes = routes_between(name, start, goal)
    classes = [route_class(path_of(start, route), centres) for route in routes]
    assert len(set(classes)) == len(routes) in (2, 6)
    for route, expected in zip(routes, classes, strict=True):
        assert route_class(path_of(start, route, rng), centres) == expected


def test_turning_back_is_no_turn_but_a_loop_is() -> None:
    centres = block_centres(layout("ring"))
    there = path_of((1, 1), ((1, 2), (1, 3)))
    straight = route_class(there, centres)
    assert route_class(np.concatenate([there, there[::-1], there]), centres) == straight != ()
    loop = path_of((1, 1), ((1, 2), (1, 3), (2, 3), (3, 3), (3, 2), (3, 1), (2, 1), (1, 1)))
    assert route_class(loop, centres) == straight  # once around, back at the start
    assert route_class(np.concatenate([loop, loop]), centres) == straight * 2
    assert route_class(loop[::-1], centres) == (-straight[0],)


def test_a_path_through_a_block_falls_to_the_side_where_it_passes_the_centre() -> None:
    centres = block_centres(layout("ring"))
    above = route_class(np.array([[1.6, 0.8], [1.6, 2.8]]), centres)
    assert above == route_class(path_of((2, 1), ((1, 1), (1, 2), (1, 3), (2, 3))), centres) != ()
    assert route_class(np.array([[2.2, 0.8], [2.2, 2.8]]), centres) == ()
