"""Journeys in mazes with loops: at rest at a station, by a random one of the routes, to rest at another.

The route is drawn uniformly among the simple ways (no cell twice) that are not much longer than the shortest,
independently of all else, so the distribution of the journeys between two points is known and can be drawn
from as often as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kdp_core.exceptions import ConfigError
from kdp_core.sim.maze2d import START_SPEED_M_S, Maze2D, reward
from kdp_core.sim.maze2d_expert import MOVES, REACHED_M, Cell, push_towards, waypoints
from kdp_core.sim.maze2d_layout import SPREAD_M, LayoutName, layout
from kdp_core.sim.maze2d_options import MazeCollectOptions

LONGEST = 1.4
"""Longest route over the shortest, in cells."""
SETTLED_M = 0.03
SETTLED_M_S = 0.2
"""A journey ends when the point is this close to its goal and this slow."""
REPORT_EVERY = 100

Route = tuple[Cell, ...]
Progress = Callable[[int, int], None]


def simple_routes(free: NDArray[np.bool_], start: Cell, target: Cell) -> tuple[Route, ...]:
    """All routes from the cell after ``start`` to ``target`` that enter no cell twice, the shortest first.

    Up to ``LONGEST`` times the shortest. ``free`` must have walls all around. No routes if there are none.
    """

    def ways(way: Route, moves: float) -> Iterator[Route]:
        for di, dj in MOVES[1:] if moves >= 1 else ():
            cell = (way[-1][0] + di, way[-1][1] + dj)
            if cell == target:
                yield (*way[1:], cell)
            elif free[cell] and cell not in way:
                yield from ways((*way, cell), moves - 1)

    for moves in range(1, int(free.sum())):  # deepening: the number of simple ways grows quickly
        if any(True for _ in ways((start,), moves)):
            return tuple(sorted(ways((start,), LONGEST * moves), key=lambda way: (len(way), way)))
    return ()


@cache
def routes_between(name: LayoutName, start: Cell, target: Cell) -> tuple[Route, ...]:
    """``simple_routes`` of a layout by name."""
    return simple_routes(layout(name).free, start, target)


def draw_journey(
    name: LayoutName, rng: np.random.Generator, least_routes: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Random start state (4,) and goal (2,) near two different stations with ``least_routes`` between them.

    Raises ConfigError if the layout has no such stations.
    """
    stations = [(int(i), int(j)) for i, j in layout(name).stations]
    pairs = [
        (a, b) for a in stations for b in stations
        if a != b and len(routes_between(name, a, b)) >= least_routes
    ]  # fmt: skip
    if not pairs:
        raise ConfigError(f"maze '{name}' has no two stations with {least_routes} routes between them")
    start, target = pairs[rng.integers(len(pairs))]
    position, goal = (np.array(cell) + rng.uniform(-SPREAD_M, SPREAD_M, 2) for cell in (start, target))
    return np.concatenate([position, START_SPEED_M_S * rng.standard_normal(2)]), goal


def travel(
    maze: Maze2D, state: NDArray[np.floating], goal: NDArray[np.floating], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One journey from ``state`` (4,) to ``goal`` (2,) by a random route.

    Returns observations (T, 4) and actions (T, 2); the last observation is at rest at the goal, or T is the
    layout's longest episode.
    """
    start, target = _cell(state), _cell(goal)
    routes = routes_between(maze.layout.name, start, target)
    points = waypoints(list(routes[rng.integers(len(routes))]), rng)
    points[-1] = goal
    maze.set_state(np.asarray(state, np.float64))
    observations, actions, following = [], [], 0
    way = points.tolist()
    for _ in range(maze.layout.steps):
        present = maze.state
        x, y, vx, vy = present.tolist()
        if following < len(way) - 1 and math.dist(way[following], (x, y)) < REACHED_M:
            following += 1
        to_x, to_y = way[following]
        push = push_towards(to_x, to_y, x, y, vx, vy)
        observations.append(present)
        actions.append(push)
        if math.dist(way[-1], (x, y)) < SETTLED_M and math.hypot(vx, vy) < SETTLED_M_S:
            break
        maze.step(push)
    return np.array(observations), np.array(actions)


def collect_routes(
    name: LayoutName, options: MazeCollectOptions, progress: Progress | None = None
) -> dict[str, NDArray[np.generic]]:
    """The arrays of a data set in D4RL's layout: journeys one after the other, ``timeouts`` at their ends."""
    rng, maze = np.random.default_rng([options.seed, 2]), Maze2D(layout(name))
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
    steps = 0
    while steps < options.steps:
        state, goal = draw_journey(name, rng)
        observations, actions = travel(maze, state, goal, rng)
        parts.append((observations, actions, np.tile(goal, (len(actions), 1))))
        steps += len(actions)
        if progress is not None and len(parts) % REPORT_EVERY == 0:
            progress(min(steps, options.steps), options.steps)
    observations, actions, goals = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    ends = np.zeros(len(actions), np.bool_)
    ends[np.cumsum([len(part[1]) for part in parts]) - 1] = True
    return {
        "observations": observations.astype(np.float32),
        "actions": actions.astype(np.float32),
        "rewards": np.array([reward(s, g) for s, g in zip(observations, goals, strict=True)], np.float32),
        "terminals": np.zeros(len(actions), np.bool_),
        "timeouts": ends,
        "infos/goal": goals.astype(np.float32),
    }


def _cell(position: NDArray[np.floating]) -> Cell:
    return round(float(position[0])), round(float(position[1]))
