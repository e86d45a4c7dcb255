"""D4RL's controller for Maze2D: tabular Q-iteration gives cells, a PD law goes from one to the next."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kdp_core.sim.maze2d_layout import Layout

SWEEPS = 50
DISCOUNT = 0.99
MOVES = ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0))
"""Stay and the four neighbours; among equally good moves the first is taken, which fixes the routes."""
WAYPOINT_NOISE_M = 0.2
REACHED_M = 0.1
P_GAIN = 10.0
MAX_CELLS = 100

Cell = tuple[int, int]


def q_values(free: NDArray[np.bool_], target: Cell) -> NDArray[np.float64]:
    """Q (rows, columns, 5) after 50 sweeps: reward 1 in the target's cell, walls cannot be entered.

    A wall's own cell has values too (leaving it is allowed): a position next to a wall may round to it.
    """
    rows, columns = np.indices(free.shape)
    reward = np.zeros(free.shape)
    reward[target] = 1.0
    following = []
    for di, dj in MOVES:
        i, j = np.clip(rows + di, 0, free.shape[0] - 1), np.clip(columns + dj, 0, free.shape[1] - 1)
        legal = free[i, j] & (i == rows + di) & (j == columns + dj)
        following.append((np.where(legal, i, rows), np.where(legal, j, columns)))
    q = np.zeros((*free.shape, len(MOVES)))
    for _ in range(SWEEPS):
        value = q.max(axis=-1)
        q = reward[..., None] + DISCOUNT * np.stack([value[i, j] for i, j in following], axis=-1)
    return q


def route(free: NDArray[np.bool_], q: NDArray[np.float64], start: Cell, target: Cell) -> list[Cell]:
    """Cells from the one after ``start`` to ``target`` by the best moves (the target alone if equal)."""
    cells: list[Cell] = []
    cell = start
    for _ in range(MAX_CELLS):
        di, dj = MOVES[int(q[cell].argmax())]
        following = (cell[0] + di, cell[1] + dj)
        inside = 0 <= following[0] < free.shape[0] and 0 <= following[1] < free.shape[1]
        cell = following if inside and free[following] else cell
        cells.append(cell)
        if cell == target:
            break
    return cells


class WaypointController:
    """Goes to the cell of a goal over noisy waypoints; a new goal makes a new route."""

    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self._free = layout.free
        self._rng = rng
        self._values: dict[Cell, NDArray[np.float64]] = {}
        self._target: Cell | None = None
        self._waypoints: list[list[float]] = []
        self._next = 0

    def action(
        self, state: NDArray[np.floating], goal: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], bool]:
        """State (4,) and goal (2,) to (action (2,), whether the goal's cell is reached).

        D4RL also asks that the last step was shorter than 0.1 m, which the limit of 5 m/s always grants.
        """
        target = _cell(goal)
        x, y, vx, vy = state.tolist()
        if target != self._target:
            self._plan(_cell(state), target)
        solved = math.hypot(x - target[0], y - target[1]) < REACHED_M
        to_x, to_y = target if solved else self._waypoints[self._next]
        if not solved and math.hypot(x - to_x, y - to_y) < REACHED_M:
            self._next = min(self._next + 1, len(self._waypoints) - 1)
        return push_towards(to_x, to_y, x, y, vx, vy), solved

    def _plan(self, start: Cell, target: Cell) -> None:
        if target not in self._values:
            self._values[target] = q_values(self._free, target)
        cells = route(self._free, self._values[target], start, target)
        self._target, self._waypoints, self._next = target, waypoints(cells, self._rng).tolist(), 0


def waypoints(cells: list[Cell], rng: np.random.Generator) -> NDArray[np.float64]:
    """A waypoint (x, y) in m for each cell: with noise, but for the last."""
    points = np.array(cells, np.float64)
    points[:-1] -= rng.uniform(0.0, WAYPOINT_NOISE_M, (len(points) - 1, 2))
    return points


def push_towards(to_x: float, to_y: float, x: float, y: float, vx: float, vy: float) -> NDArray[np.float64]:
    """The PD law: action (2,) towards a point from a position and velocity, clipped to 1."""
    push = (P_GAIN * (to_x - x) - vx, P_GAIN * (to_y - y) - vy)
    return np.array([min(max(value, -1.0), 1.0) for value in push])


def _cell(position: NDArray[np.floating]) -> Cell:
    return round(float(position[0])), round(float(position[1]))
