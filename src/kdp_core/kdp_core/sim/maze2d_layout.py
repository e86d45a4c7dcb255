"""Maze2D's worlds as D4RL has them, and mazes with loops: cells, coordinates, goals, lengths and the score.

Positions are D4RL's (its joint positions): x counts rows and y columns of the layout, in m, and the centre of
cell (i, j) lies at (i - 0.2, j - 0.2). Goals and starts are drawn around (i, j) itself, as in D4RL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

MazeName = Literal["umaze", "medium", "large"]
MAZES: tuple[MazeName, ...] = get_args(MazeName)
RouteName = Literal["ring", "blocks"]
ROUTES: tuple[RouteName, ...] = get_args(RouteName)
"""Mazes with loops: several routes lead around their blocks."""
LayoutName = MazeName | RouteName
CENTRE_OFFSET_M = -0.2
"""From a cell's index to its centre."""
HALF_CELL_M = 0.5
GOAL_RADIUS_M = 0.5
"""The reward is 1 within it."""
SPREAD_M = 0.1
"""Starts and random goals are uniform within this of a cell's index, on both axes."""


@dataclass(frozen=True, eq=False)
class Layout:
    """One maze.

    free: bool (rows, columns), true where the point can go. goal: cell of the single-task goal. steps: length
    of an episode. horizon: rows of a plan, enough for the controller's longest way to the goal
    (published: 128, 256, 384 in D4RL's mazes, too short for 30, 29 and 15 % of the ways). reference: returns
    of D4RL's scores 0 and 100. stations: cells (N, 2) where journeys begin and end, in mazes with loops.
    """

    name: LayoutName
    free: NDArray[np.bool_]
    goal: tuple[int, int]
    steps: int
    horizon: int
    reference: tuple[float, float]
    stations: NDArray[np.int64]

    @property
    def cells(self) -> NDArray[np.int64]:
        """Free cells (N, 2), row by row, the goal's last: D4RL draws starts and goals from these."""
        cells = np.argwhere(self.free)
        at_goal = (cells == self.goal).all(axis=1)
        return np.concatenate([cells[~at_goal], cells[at_goal]])

    def in_wall(self, positions: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether positions (..., 2) m lie in a wall or outside, (...) bool; the point has no radius here."""
        cell = np.floor(positions - (CENTRE_OFFSET_M - HALF_CELL_M)).astype(np.int64)
        size = np.array(self.free.shape)
        inside = ((cell >= 0) & (cell < size)).all(axis=-1)
        cell = np.clip(cell, 0, size - 1)
        wall: NDArray[np.bool_] = ~(inside & self.free[cell[..., 0], cell[..., 1]])
        return wall

    def score(self, episode_return: float) -> float:
        """D4RL's score: 100 (R - min) / (max - min)."""
        low, high = self.reference
        return 100.0 * (episode_return - low) / (high - low)


def _layout(
    name: LayoutName, rows: tuple[str, ...], steps: int, horizon: int, reference: tuple[float, float]
) -> Layout:
    tiles = np.array([list(row) for row in rows])
    goal, stations = np.argwhere(tiles == "g")[0], np.argwhere((tiles == "o") | (tiles == "g"))
    if name not in ROUTES:
        stations = stations[:0]
    return Layout(name, tiles != "#", (int(goal[0]), int(goal[1])), steps, horizon, reference, stations)


_LAYOUTS = {
    "umaze": _layout("umaze", ("#####", "#g..#", "###.#", "#...#", "#####"), 300, 192, (23.85, 161.86)),
    "medium": _layout(
        "medium",
        ("########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#.g#", "########"),
        600, 320, (13.13, 277.39),
    ),
    "large": _layout(
        "large",
        (
            "############",
            "#....#.....#",
            "#.##.#.#.#.#",
            "#......#...#",
            "#.####.###.#",
            "#..#.#.....#",
            "##.#.#.#.###",
            "#..#...#.g.#",
            "############",
        ),
        800, 544, (6.7, 273.99),
    ),
    "ring": _layout("ring", ("#####", "#o.o#", "#.#.#", "#o.g#", "#####"), 300, 160, (0.0, 1.0)),
    "blocks": _layout(
        "blocks",
        ("#######", "#o.o.o#", "#.#.#.#", "#o.o.o#", "#.#.#.#", "#o.o.g#", "#######"),
        500, 256, (0.0, 1.0),
    ),
}  # fmt: skip


def layout(name: LayoutName) -> Layout:
    """The maze called ``name``."""
    return _LAYOUTS[name]
