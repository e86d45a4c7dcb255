"""Expert demonstrations of the tabletop tasks: states under disturbances, and what the expert would do there.

Recorded are states that the disturbed arm visits with the expert's undisturbed answer to each (as in DART,
Laskey et al. 2017), so that a planner sees how to come back from where its own errors lead.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_format import ENVIRONMENT, STATE
from kdp_core.sim.so100 import Scene, So100Scene, TaskName
from kdp_core.sim.so100_expert import TabletopExpert, draw_variant
from kdp_core.sim.so100_geometry import CUBE_M
from kdp_core.sim.tabletop_options import TabletopCollectOptions
from kdp_core.sim.tabletop_sensor import measure
from kdp_core.sim.tabletop_success import TabletopJudge

TICK_STEPS = 10
"""Physics steps of 2 ms in a control cycle."""
TICK_S = 0.02


class Disturbance:
    """Errors added to the executed joint targets: slow noise, bursts of it, and a jaw that slips."""

    def __init__(self, options: TabletopCollectOptions, rng: np.random.Generator) -> None:
        self._options, self._rng = options, rng
        self._size = options.disturbance * rng.choice([0.0, 0.5, 1.0]) * np.array([1, 1, 1, 1, 2, 2.0])
        self._error = np.zeros(6)
        self._burst = self._slip = 0

    def step(self, targets: np.ndarray) -> np.ndarray:
        """Targets (6,) of this cycle with the errors."""
        options, rng = self._options, self._rng
        if rng.random() < options.push * TICK_S:
            self._burst = int(rng.integers(10, 40))
        if rng.random() < options.slip * TICK_S:
            self._slip = int(rng.integers(8, 20))
        size = self._size * (2.0 if self._burst > 0 else 1.0)
        self._burst, self._slip = max(0, self._burst - 1), max(0, self._slip - 1)
        self._error = 0.93 * self._error + np.sqrt(1 - 0.93**2) * size * rng.standard_normal(6)
        disturbed: np.ndarray = targets + self._error
        if self._slip > 0:
            disturbed[5] = max(disturbed[5], 0.6)
        return disturbed


def collect_episodes(
    task: TaskName, options: TabletopCollectOptions, first: int, count: int
) -> Iterator[Episode]:
    """Demonstrations ``first`` to ``first + count - 1`` of a data set; failed ones are left out.

    Episodes: observations ``observation.state`` (T, 6) and ``observation.environment_state`` (T, 7 n + 3),
    actions (T, 6) joint targets of the expert, rewards = progress of the cube towards its goal, m.
    """
    simulator = So100Scene(2 if task == "stack" else 1)
    for number in range(first, first + count):
        scene = Scene.random(task, options.seed * 1_000_003 + number)
        episode = _demonstrate(task, scene, simulator, options)
        if episode is not None:
            yield episode


def _demonstrate(
    task: TaskName, scene: Scene, simulator: So100Scene, options: TabletopCollectOptions
) -> Episode | None:
    rng = np.random.default_rng([scene.seed, 200])
    simulator.reset(scene)
    judge, disturbance = TabletopJudge(task, scene), Disturbance(options, rng)
    expert = TabletopExpert(draw_variant(scene.joints, scene.cubes[0], rng, options.other), task)
    states, environments, actions, distances = [], [], [], []
    left, moved, lost = None, 0, False
    for _ in range(round(options.limit_s / TICK_S)):
        cube, goal = simulator.cube_poses[0], _goal(task, scene, simulator)
        if left is None and moved < 2 and rng.random() < options.move * TICK_S:
            _put_elsewhere(simulator, rng)
            cube, moved, lost = simulator.cube_poses[0], moved + 1, True
        if lost or (cube[2] < CUBE_M and simulator.joints[5] < 0.3 and not simulator.touched(0)):
            expert.variant = draw_variant(simulator.joints, cube, rng, options.other)  # begin again from here
            lost = False
        seen = measure(simulator, scene.goal, options.noise, rng)
        action = expert.action(simulator.joints, cube, goal, simulator.holding_torque)
        states.append(seen["joints"])
        environments.append(np.concatenate([seen["cubes"].reshape(-1), seen["goal"]]))
        actions.append(action)
        distances.append(judge.distance(simulator))
        simulator.command(disturbance.step(action))
        simulator.step(TICK_STEPS)
        if judge.update(simulator) and left is None:
            left = round(options.hold_s / TICK_S)
        if left is not None:
            left -= 1
            if left < 0:
                break
    if left is None or left >= 0:
        return None
    steps = len(actions)
    ended = np.zeros(steps, bool)
    ended[-1] = True
    progress = -np.diff(np.array([*distances, judge.distance(simulator)]))
    return Episode(
        observations={
            STATE: np.array(states, np.float32),
            ENVIRONMENT: np.array(environments, np.float32),
        },
        actions=np.array(actions, np.float32),
        rewards=progress,
        terminations=ended,
        truncations=np.zeros(steps, bool),
        seed=scene.seed,
    )


def _goal(task: TaskName, scene: Scene, simulator: So100Scene) -> np.ndarray:
    if task == "pick_place":
        return scene.goal
    top: np.ndarray = simulator.cube_poses[1, :3] + np.array([0.0, 0.0, CUBE_M])
    return top


def _put_elsewhere(simulator: So100Scene, rng: np.random.Generator) -> None:
    """Move the upper cube by a few centimetres if it lies on the table, free of hand and other cube."""
    pose = simulator.cube_poses[0]
    if pose[2] > 0.6 * CUBE_M or simulator.touched(0):
        return
    pose[:2] += rng.normal(0.0, 0.02, 2)
    yaw = rng.uniform(-np.pi, np.pi)
    pose[3:] = [0.0, 0.0, np.sin(0.5 * yaw), np.cos(0.5 * yaw)]
    radius, point = np.hypot(*pose[:2]), simulator.gripper_pose[:3]
    others = simulator.cube_poses[1:, :2]
    free = (np.linalg.norm(others - pose[:2], axis=1) > 0.07).all() and (
        point[2] > 0.06 or np.linalg.norm(point[:2] - pose[:2]) > 0.08
    )
    if 0.13 < radius < 0.225 and free:
        simulator.place_cube(0, pose)
