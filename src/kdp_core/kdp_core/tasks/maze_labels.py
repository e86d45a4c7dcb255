"""What the scorer of a maze learns: how soon a window is at its goal, and that it must not go through walls.

Taught by the recorded windows alone, which never touch a wall, it prefers short cuts through walls.
"""

from __future__ import annotations

import numpy as np

from kdp_core.sim.maze2d_layout import GOAL_RADIUS_M, Layout
from kdp_core.windows import WindowBatch

DISCOUNT = 0.997
"""Per row."""
WALL_WEIGHT = 4.0
"""Price of a window wholly in walls, where one wholly at the goal is worth 1."""


def time_at_goal(positions: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Discounted share of the rows within 0.5 m of the goal: (..., H, 2) and (..., 2) to (...), 0 to 1."""
    weight = DISCOUNT ** np.arange(positions.shape[-2])
    at_goal = np.linalg.norm(positions - goal[..., None, :], axis=-1) <= GOAL_RADIUS_M
    share: np.ndarray = (at_goal * (weight / weight.sum())).sum(axis=-1)
    return share


class MazeLabels:
    """Judges windows with the layout known, as only training may."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def labels(self, windows: np.ndarray, conditions: WindowBatch) -> np.ndarray:
        """Windows (N, M, H, 6) under N conditions to values (N, M)."""
        positions = windows[..., :2]
        walls = self._layout.in_wall(positions).mean(axis=-1)
        value: np.ndarray = time_at_goal(positions, conditions.context[:, None]) - WALL_WEIGHT * walls
        return value
