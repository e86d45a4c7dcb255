"""Maze2D, and its mazes with loops: the spec, how a plan is judged and followed.

A window holds positions, velocities and actions of the next ``horizon`` hundredths of a second. The goal's
position is clamped at its last row (Eq. 7); windows that arrive sooner hold there. Windows of one row
(behaviour cloning) have the goal as context instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kdp_core.exceptions import ConfigError
from kdp_core.sim.maze2d_layout import GOAL_RADIUS_M, MAZES, ROUTES, LayoutName, layout
from kdp_core.spec import Channel, Goal, Input, KeyPart, Spec
from kdp_core.tasks.base import Inputs
from kdp_core.tasks.maze_labels import WALL_WEIGHT, MazeLabels

if TYPE_CHECKING:
    from kdp_core.datasets.episodes import Episode
    from kdp_core.windows import WindowBatch

PREFIX = "maze2d-"
ROUTES_PREFIX = "routes-"
RATE_HZ = 100.0


def task_name(name: LayoutName) -> str:
    """``umaze`` to ``maze2d-umaze``, ``ring`` to ``routes-ring``."""
    return (PREFIX if name in MAZES else ROUTES_PREFIX) + name


def maze_name(task: str) -> LayoutName | None:
    """``maze2d-umaze`` to ``umaze``; None if it is no such task."""
    return next((name for name in (*MAZES, *ROUTES) if task == task_name(name)), None)


def maze_spec(name: LayoutName, horizon: int) -> Spec:
    """The contract of one maze, without normaliser. ``frame`` is D4RL's (``kdp_core.sim.maze2d_layout``)."""
    size = layout(name).free.shape
    extent = ((-0.7, size[0] - 0.7), (-0.7, size[1] - 0.7))
    cloning = horizon == 1
    goal = Channel(name="goal_position", unit="m", size=2, frame="maze")
    return Spec(
        name=task_name(name),
        task=task_name(name),
        rate_hz=RATE_HZ,
        horizon=horizon,
        state=(
            Channel(name="position", unit="m", size=2, frame="maze", limits=extent),
            Channel(name="velocity", unit="m/s", size=2, frame="maze", limits=(-5.3, 5.3)),
        ),
        action=(Channel(name="push", unit="100 N", size=2, frame="maze", limits=(-1.0, 1.0)),),
        context=(goal,) if cloning else (),
        inputs=(
            Input(name="position", unit="m", size=2, frame="maze"),
            Input(name="velocity", unit="m/s", size=2, frame="maze"),
            Input(name="goal", unit="m", size=2, frame="maze"),
        ),
        goal=Goal(mode="context", channels=("goal_position",))
        if cloning
        else Goal(mode="clamp", channels=("position",), step=-1),
        key=(
            KeyPart(channel="position"),
            KeyPart(channel="velocity", scale=0.5),
            KeyPart(channel="goal_position" if cloning else "goal"),
        ),
    )


class MazeTask:
    """One maze."""

    shortest_episode = 2
    """Steps of recording that give a window: those that end sooner than a window does are held."""

    def __init__(self, name: LayoutName, horizon: int | None = None) -> None:
        self.layout = layout(name)
        rows = self.layout.horizon if horizon is None else horizon
        if rows < 1:
            raise ConfigError(f"horizon must be at least 1, got {rows}")
        self.spec = maze_spec(name, rows)

    def encode(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """Inputs to (state (4,), goal (2,)); the planner takes the goal as the last part of the context."""
        return np.concatenate([inputs["position"], inputs["velocity"]]), np.asarray(inputs["goal"])

    def paths(self, windows: np.ndarray, inputs: Inputs) -> np.ndarray:
        """Windows (K, H, 6) to paths (K, H, 3) at height 0, m."""
        return np.pad(windows[..., :2], ((0, 0), (0, 0), (0, 1)))

    def costs(
        self,
        windows: np.ndarray,
        inputs: Inputs,
        progress_weight: float = 1.0,
        paths: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Share of the rows away from the goal plus ``WALL_WEIGHT`` times the share in walls, (K,).

        Knows the layout and the present goal. Every finite window is valid.
        """
        positions = windows[..., :2].astype(np.float64)
        finite = np.logical_and.reduce(np.isfinite(positions).reshape(len(windows), -1), axis=1)
        away = np.linalg.norm(positions - inputs["goal"], axis=-1) > GOAL_RADIUS_M
        walls = self.layout.in_wall(np.where(np.isfinite(positions), positions, -1e3)).mean(axis=1)
        cost = WALL_WEIGHT * walls + progress_weight * away.mean(axis=1)
        return np.where(finite, cost, np.inf), finite

    def labeller(self, batch: WindowBatch) -> MazeLabels | None:
        """What the scorer learns; none for cloning, whose windows are not ranked."""
        return MazeLabels(self.layout) if self.spec.horizon > 1 else None

    def follow(self, window: np.ndarray, row: int, state: np.ndarray) -> np.ndarray:
        """Diffuser's law: action (2,) towards row ``row`` + 1 of the window (H, 6) from ``state`` (4,).

        After the plan's end towards its last position, at rest.
        """
        if row + 1 < len(window):
            target = window[row + 1, :4].astype(np.float64)
        else:
            target = np.concatenate([window[-1, :2], np.zeros(2)]).astype(np.float64)
        push: np.ndarray = (target - state)[:2] + (target - state)[2:]
        return push

    def track(self, window: np.ndarray, row: int) -> np.ndarray:
        """``follow`` from the planned state, for callers who do not know the present one."""
        row = min(row, len(window) - 1)
        return self.follow(window, row, window[row, :4].astype(np.float64))

    def safe_action(self, inputs: Inputs) -> np.ndarray:
        """Brake, (2,)."""
        brake: np.ndarray = np.clip(-np.asarray(inputs["velocity"], np.float64), -1.0, 1.0)
        return brake

    def distance(self, inputs: Inputs) -> float:
        """Metres from the point to the goal."""
        return float(np.linalg.norm(inputs["goal"] - inputs["position"]))

    def success(self, inputs: Inputs) -> bool:
        """Within 0.5 m of the goal, where the reward is 1."""
        return self.distance(inputs) <= GOAL_RADIUS_M

    def windows(self, episode: Episode) -> WindowBatch:
        """Windows of one recorded episode, see ``kdp_core.tasks.maze_windows``."""
        from kdp_core.tasks.maze_windows import maze_windows

        return maze_windows(episode, self.spec, journeys=self.layout.name in ROUTES)
