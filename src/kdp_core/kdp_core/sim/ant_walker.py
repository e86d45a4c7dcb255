"""A scripted ant that walks to goals in Gymnasium-Robotics' AntMaze: an analytic gait over waypoints.

D4RL's AntMaze data come from a trained goal-reaching ant. This one needs no training: diagonal legs take
turns, each foot sweeps against the wanted direction while it is down, and joints follow their targets by a
PD law. Waypoints are the cells of the shortest way. Actions get normal noise, as in D4RL's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kdp_core.exceptions import ConfigError
from kdp_core.sim.maze2d_expert import Cell, q_values, route

if TYPE_CHECKING:
    import gymnasium

STEP_S = 0.05
"""Of the environment."""
REACHED_M = 1.0
"""Distance from which a waypoint counts as reached (a cell measures 4 m)."""
NOISE = 0.2
"""Standard deviation of the actions' noise, D4RL's."""
AZIMUTH = np.radians([45.0, 135.0, -135.0, -45.0])
"""Where the legs 1 to 4 point in the body's frame, rad."""
TANGENT = np.stack([-np.sin(AZIMUTH), np.cos(AZIMUTH)], axis=1)
"""Where a foot goes as its hip turns, (4, 2)."""
RADIAL = np.stack([np.cos(AZIMUTH), np.sin(AZIMUTH)], axis=1)
TURN = np.array([0.0, np.pi, 0.0, np.pi])
"""Phase of each leg, rad: diagonal ones together."""
ANKLE_SIGN = np.array([1.0, -1.0, -1.0, 1.0])
ACTUATORS = np.array([6, 7, 0, 1, 2, 3, 4, 5])
"""Joints (hip 1, ankle 1, hip 2, …) in the order of the actions (hip 4, ankle 4, hip 1, …)."""


@dataclass(frozen=True)
class Gait:
    """Numbers of the gait; found by a cross-entropy search for speed in eight directions under the noise."""

    frequency_rad_s: float = 14.42
    """Of the steps."""
    hip_rad: float = 0.468
    """Amplitude of a hip whose foot goes against the direction."""
    ankle_rad: float = 0.779
    """Angle about which ankles move."""
    lift_rad: float = 0.202
    """Amplitude of lifting a foot."""
    lead_rad: float = -0.907
    """Phase of lifting before sweeping."""
    reach_rad: float = 0.287
    """Amplitude of an ankle whose foot goes along its leg."""
    p_gain: float = 2.675
    """Action per rad."""
    d_gain: float = 0.17
    """Action per rad/s."""


class AntWalker:
    """Goes to the goal of the episode; ``begin`` must be called when one begins."""

    d_observation = 31
    d_action = 8
    version = 1
    """Of what it does, numbers included; a data set names it."""

    def __init__(self, gait: Gait | None = None) -> None:
        self.gait = gait or Gait()
        self._phase = 0.0
        self._waypoints: list[NDArray[np.float64]] | None = None
        self._maze: Any = None

    def begin(self, env: gymnasium.Env[Any, Any]) -> None:
        """Forget the way. Raises ConfigError for an environment without a maze."""
        self._maze = getattr(env.unwrapped, "maze", None)
        if self._maze is None:
            raise ConfigError("policy: ant-walker walks in AntMaze environments only")
        self._phase, self._waypoints = 0.0, None

    def action(self, observation: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Observation (31,): position (2), goal (2), height, quaternion (w first), joints, velocities.

        Gives the action (8,); without a generator that of no noise.
        """
        position, goal = observation[:2], observation[2:4]
        if self._waypoints is None:
            self._waypoints = self._way(position, goal)
        while len(self._waypoints) > 1 and np.linalg.norm(self._waypoints[0] - position) < REACHED_M:
            self._waypoints.pop(0)
        action = self._step(observation, self._waypoints[0] - position)
        if rng is not None:
            action = action + NOISE * rng.standard_normal(self.d_action)
        return np.clip(action, -1.0, 1.0)

    def _way(self, position: np.ndarray, goal: np.ndarray) -> list[NDArray[np.float64]]:
        """Centres of the cells from the next one to the goal's, and the goal, m."""
        free = np.array([[cell != 1 for cell in row] for row in self._maze.maze_map])
        start, target = (self._cell(place) for place in (position, goal))
        if start == target:
            return [np.asarray(goal, np.float64)]
        cells = route(free, q_values(free, target), start, target)
        centres = [np.asarray(self._maze.cell_rowcol_to_xy(np.array(cell)), np.float64) for cell in cells]
        return [*centres[:-1], np.asarray(goal, np.float64)]

    def _cell(self, place: np.ndarray) -> Cell:
        row, column = self._maze.cell_xy_to_rowcol(place)
        return int(row), int(column)

    def _step(self, observation: np.ndarray, way: np.ndarray) -> NDArray[np.float64]:
        gait = self.gait
        w, x, y, z = observation[5:9]
        yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        away = way / max(float(np.linalg.norm(way)), 1e-6)
        turn = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
        along = turn @ away
        self._phase += gait.frequency_rad_s * STEP_S
        phase = self._phase + TURN
        hips = -gait.hip_rad * (TANGENT @ along) * np.sin(phase)
        ankles = gait.ankle_rad + gait.lift_rad * np.cos(phase + gait.lead_rad)
        ankles = ankles + gait.reach_rad * (RADIAL @ along) * np.sin(phase)
        wanted = np.empty(8)
        wanted[0::2] = np.clip(hips, -0.5, 0.5)
        wanted[1::2] = ANKLE_SIGN * np.clip(ankles, 0.53, 1.21)
        push = gait.p_gain * (wanted - observation[9:17]) - gait.d_gain * observation[23:31]
        out: NDArray[np.float64] = np.clip(push, -1.0, 1.0)[ACTUATORS]
        return out
