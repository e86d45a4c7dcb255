"""Success of the tabletop tasks from the simulator's truth."""

from __future__ import annotations

import numpy as np

from kdp_core.sim.so100 import Scene, So100Scene, TaskName
from kdp_core.sim.so100_geometry import CUBE_M
from kdp_core.tasks.tabletop import PLACE_TOLERANCE_M, STACK_HEIGHT_TOLERANCE_M, STACK_TOLERANCE_M

CARRIED_M = 0.03
STILL_M_S = 0.01
HELD_STEPS = 10
"""Control cycles of 20 ms for which everything must hold, so that passing through does not count."""


class TabletopJudge:
    """Judges one episode; ``update`` once per control cycle.

    Pick-place: the cube was carried more than 3 cm, is within 3 cm of the goal, slower than 1 cm/s, the jaw
    is open. Stacking: the upper cube rests on the lower one (centres within 1.5 cm, height within 6 mm), both
    are slower than 1 cm/s, the jaw is open and no finger touches them.
    """

    def __init__(self, task: TaskName, scene: Scene) -> None:
        self.task, self.scene = task, scene
        self._cycles = 0

    def update(self, simulator: So100Scene) -> bool:
        """Whether the task is done by now."""
        self._cycles = self._cycles + 1 if self._now(simulator) else 0
        return self._cycles >= HELD_STEPS

    def _now(self, simulator: So100Scene) -> bool:
        if not simulator.jaw_open or (simulator.cube_speeds >= STILL_M_S).any():
            return False
        cubes = simulator.cube_poses[:, :3]
        if self.task == "pick_place":
            carried = np.linalg.norm(cubes[0] - self.scene.cubes[0, :3]) > CARRIED_M
            return bool(carried and self.distance(simulator) <= PLACE_TOLERANCE_M)
        off = cubes[0] - cubes[1] - np.array([0.0, 0.0, CUBE_M])
        stacked = (
            np.hypot(off[0], off[1]) <= STACK_TOLERANCE_M
            and abs(off[2]) <= STACK_HEIGHT_TOLERANCE_M
            and cubes[1, 2] < CUBE_M
        )
        return bool(stacked and not simulator.touched(0) and not simulator.touched(1))

    def distance(self, simulator: So100Scene) -> float:
        """Metres from the moved cube to where it shall be."""
        cubes = simulator.cube_poses[:, :3]
        goal = self.scene.goal if self.task == "pick_place" else cubes[1] + np.array([0.0, 0.0, CUBE_M])
        return float(np.linalg.norm(cubes[0] - goal))
