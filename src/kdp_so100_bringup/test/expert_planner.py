#!/usr/bin/env python3
"""The planner node with the scripted expert in the network's place, for tests of the graph around it."""

import sys

import mujoco
import numpy as np

from kdp_core.controller import Decision
from kdp_core.sim.so100 import So100Scene
from kdp_core.sim.so100_expert import TabletopExpert, draw_variant
from kdp_core.tasks import make_task
from kdp_planner_ros.planner_node import PlannerNode
from kdp_planner_ros.process import run


class ExpertController:
    """Answers inputs with the expert's joint targets; `artifact` names the task."""

    def __init__(self, task):
        self.task = make_task(task)
        self.spec = self.task.spec
        self._arm = So100Scene(0)
        self.reset()

    def reset(self):
        self._expert = None

    def prepare(self):
        pass

    def step(self, inputs, now_s=None):
        joints, cube = inputs["joints"], inputs["cubes"][0]
        if self._expert is None:
            self._expert = TabletopExpert(draw_variant(joints, cube, np.random.default_rng(0)))
        self._arm.data.qpos[:6], self._arm.data.qvel[:6] = joints, 0.0
        mujoco.mj_forward(self._arm.model, self._arm.data)
        action = self._expert.action(joints, cube, self.task.target(inputs), self._arm.holding_torque)
        return Decision(action, False, "", None, None, True)


def make():
    task = "stack" if any("stack" in word for word in sys.argv) else "pick_place"
    node = PlannerNode(lambda _settings: ExpertController(task))
    node.start()
    return node


if __name__ == "__main__":
    run(make, lambda node: node.loop and node.loop.stop("planner stopped"))
