"""Maze2D's point mass in MuJoCo: D4RL's dynamics and walls, in D4RL's coordinates.

A sphere of 4.19 kg on two slide joints, pushed by two motors of up to 100 N, at 100 Hz. The velocity is
clipped to 5 m/s per axis before each step, as D4RL does it.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from kdp_core.sim.maze2d_layout import CENTRE_OFFSET_M, GOAL_RADIUS_M, HALF_CELL_M, SPREAD_M, Layout

STEP_S = 0.01
RADIUS_M = 0.1
MAX_SPEED_M_S = 5.0
START_SPEED_M_S = 0.1

_WORLD = """<mujoco model="maze2d">
<compiler inertiafromgeom="true"/>
<option timestep="{step}" gravity="0 0 0" iterations="20" integrator="Euler"/>
<default><joint damping="1" limited="false"/>
<geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/></default>
<worldbody><body><geom type="sphere" size="{radius}" contype="1"/>
<joint name="x" type="slide" axis="1 0 0"/><joint name="y" type="slide" axis="0 1 0"/></body>
{walls}</worldbody>
<actuator><motor joint="x" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
<motor joint="y" ctrlrange="-1 1" ctrllimited="true" gear="100"/></actuator></mujoco>"""


class Maze2D:
    """One point in one maze; ``state`` is (x, y, vx, vy) in m and m/s, ``goal`` (2,) m."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        half = HALF_CELL_M
        walls = "".join(
            f'<geom type="box" pos="{i + CENTRE_OFFSET_M} {j + CENTRE_OFFSET_M} 0" size="{half} {half} 0.2"/>'
            for i, j in np.argwhere(~layout.free)
        )
        world = _WORLD.format(step=STEP_S, radius=RADIUS_M, walls=walls)
        self._model = mujoco.MjModel.from_xml_string(world)
        self._data = mujoco.MjData(self._model)
        self._position, self._velocity = self._data.qpos, self._data.qvel  # views: looking them up costs time
        self._control = self._data.ctrl
        self.goal = np.array(layout.goal, np.float64)

    @property
    def state(self) -> NDArray[np.float64]:
        """Position and velocity (4,), a copy."""
        return np.concatenate([self._position, self._velocity])

    def set_state(self, state: NDArray[np.floating]) -> None:
        """Put the point at ``state`` (4,)."""
        mujoco.mj_resetData(self._model, self._data)
        self._position[:], self._velocity[:] = state[:2], state[2:]
        mujoco.mj_forward(self._model, self._data)

    def reset(self, rng: np.random.Generator, random_goal: bool = False) -> NDArray[np.float64]:
        """Start in a random free cell (the goal's too); returns the state (4,).

        The goal is the maze's own, or a random one.
        """
        position = self._near_a_cell(rng)
        self.set_state(np.concatenate([position, START_SPEED_M_S * rng.standard_normal(2)]))
        self.goal = self._near_a_cell(rng) if random_goal else np.array(self.layout.goal, np.float64)
        return self.state

    def draw_goal(self, rng: np.random.Generator) -> None:
        """Set a random goal: a free cell's index, 0.1 m more or less."""
        self.goal = self._near_a_cell(rng)

    def step(self, action: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
        """Apply ``action`` (2,), in units of 100 N and clipped to 1, for one step: state (4,) and reward."""
        np.maximum(np.minimum(self._velocity, MAX_SPEED_M_S), -MAX_SPEED_M_S, out=self._velocity)
        np.maximum(np.minimum(action, 1.0), -1.0, out=self._control)
        mujoco.mj_step(self._model, self._data)
        state = self.state
        return state, reward(state, self.goal)

    def _near_a_cell(self, rng: np.random.Generator) -> NDArray[np.float64]:
        cells = self.layout.cells
        return cells[rng.integers(len(cells))] + rng.uniform(-SPREAD_M, SPREAD_M, 2)


def reward(state: NDArray[np.floating], goal: NDArray[np.floating]) -> float:
    """D4RL's sparse reward: 1 within 0.5 m of the goal."""
    return float(math.hypot(state[0] - goal[0], state[1] - goal[1]) <= GOAL_RADIUS_M)
