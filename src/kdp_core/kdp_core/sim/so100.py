"""One SO-100 on a table with cubes in MuJoCo: what simulated bus, data collector and evaluator step.

Base frame = world: on the table below the pan axis, x forward, y left, z up. Poses are x, y, z and a
quaternion x, y, z, w. Truth (cube poses, contacts) is exact; whoever plays a sensor adds the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import mujoco
import numpy as np

from kdp_core.exceptions import ConfigError
from kdp_core.sim.so100_geometry import CUBE_M, GRASP_JAW_RAD, HIGH_RAD, JOINTS, LOW_RAD
from kdp_core.sim.so100_kinematics import grasp_from_above
from kdp_core.sim.so100_model import KP, KV, TIMESTEP_S, so100_xml

TaskName = Literal["pick_place", "stack"]
_XYZW = [0, 1, 2, 4, 5, 6, 3]

REACH_M = (0.13, 0.225)
"""Where cubes and goals lie: nearest and farthest from the pan axis."""
BEARING_RAD = 1.1
"""… and how far to either side."""
APART_M = 0.085
"""Least distance between cubes, and between a cube and its goal (centres)."""


@dataclass(frozen=True)
class Scene:
    """How an episode begins: cubes (n, 7) poses, goal (3,) m of the cube in row 0, joints (6,) rad, seed."""

    cubes: np.ndarray
    goal: np.ndarray
    joints: np.ndarray
    seed: int

    @classmethod
    def random(cls, task: TaskName, seed: int) -> Scene:
        """A random scene within reach. For stacking the goal is on top of the cube in row 1."""
        if task not in ("pick_place", "stack"):
            raise ConfigError(f"task must be pick_place or stack, got '{task}'")
        rng = np.random.default_rng([seed, 100])
        first, second = _place(rng), _place(rng)
        while np.linalg.norm(first - second) < APART_M:
            second = _place(rng)
        spots = [first, second] if task == "stack" else [first]
        yaw = rng.uniform(-np.pi, np.pi, len(spots))
        cubes = np.zeros((len(spots), 7))
        cubes[:, :2], cubes[:, 2] = spots, 0.5 * CUBE_M
        cubes[:, 5], cubes[:, 6] = np.sin(0.5 * yaw), np.cos(0.5 * yaw)
        goal = np.array([*second, (1.5 if task == "stack" else 0.5) * CUBE_M])
        return cls(cubes, goal, _start(rng), seed)


def _place(rng: np.random.Generator) -> np.ndarray:
    """A spot on the table within reach, uniform in area, (2,) m."""
    radius = np.sqrt(rng.uniform(REACH_M[0] ** 2, REACH_M[1] ** 2))
    bearing = rng.uniform(-BEARING_RAD, BEARING_RAD)
    return np.array([radius * np.cos(bearing), radius * np.sin(bearing)])


def _start(rng: np.random.Generator) -> np.ndarray:
    """Joints of a hand somewhere above the table, pointing down within a few degrees, (6,) rad."""
    while True:
        point = np.array([*_place(rng), rng.uniform(0.08, 0.12)])
        pan = np.arctan2(point[1], point[0])
        joints = grasp_from_above(point, pan + rng.uniform(-1.2, 1.2))
        if np.isfinite(joints).all():
            joints[:4] += rng.normal(0.0, 0.05, 4)
            joints = np.array([*joints, rng.uniform(0.0, 0.9)])
            return np.clip(joints, LOW_RAD, HIGH_RAD)


class Shape(NamedTuple):
    """A primitive as it stands now, for drawing.

    kind: box, capsule or cylinder; size (3,) m half lengths (MuJoCo's convention); position (3,) m; rotation
    (3, 3); rgba (4,).
    """

    name: str
    kind: str
    size: np.ndarray
    position: np.ndarray
    rotation: np.ndarray
    rgba: np.ndarray


class So100Scene:
    """The simulated arm. Steps of 2 ms; commands are joint targets of position servos."""

    def __init__(self, cubes: int = 1) -> None:
        if not 0 <= cubes <= 8:
            raise ConfigError(f"cubes must be 0 to 8, got {cubes}")
        self.n_cubes = cubes
        self.model = mujoco.MjModel.from_xml_string(so100_xml(cubes))
        self.data = mujoco.MjData(self.model)
        self.dt = TIMESTEP_S
        names = [f"cube_{i}" for i in range(cubes)]
        self._cube_geoms = [self.model.geom(name).id for name in names]
        self._cube_bodies = [self.model.body(name).id for name in names]
        self._site = self.model.site("grasp").id
        self._fingers = {self.model.geom(name).id for name in ("fixed_finger", "moving_finger")}
        self._powered = np.ones(len(JOINTS), bool)
        mujoco.mj_forward(self.model, self.data)
        self.command(self.joints)

    def reset(self, scene: Scene) -> None:
        """Start an episode at rest, with the servos holding where the joints are, torque on."""
        if len(scene.cubes) != self.n_cubes:
            raise ConfigError(f"scene has {len(scene.cubes)} cubes, this simulator has {self.n_cubes}")
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:6] = scene.joints
        for i, pose in enumerate(scene.cubes):
            self.place_cube(i, pose)
        self.torque(np.ones(len(JOINTS), bool))
        self.command(scene.joints)
        mujoco.mj_forward(self.model, self.data)

    def place_cube(self, number: int, pose: np.ndarray) -> None:
        """Put cube ``number`` at ``pose`` (7,) at rest."""
        start = 6 + 7 * number
        self.data.qpos[start : start + 3] = pose[:3]
        self.data.qpos[start + 3 : start + 7] = np.roll(pose[3:], 1)
        self.data.qvel[6 + 6 * number : 12 + 6 * number] = 0.0
        mujoco.mj_forward(self.model, self.data)

    def command(self, targets: np.ndarray) -> None:
        """Joint targets (6,) rad, clamped to the limits."""
        self.data.ctrl[:] = np.clip(targets, LOW_RAD, HIGH_RAD)

    def torque(self, enabled: np.ndarray) -> None:
        """Power of the servos (6,) bool; a servo without it only rubs."""
        self._powered = np.asarray(enabled, bool).copy()
        gain = self._powered.astype(float)
        self.model.actuator_gainprm[:, 0] = KP * gain
        self.model.actuator_biasprm[:, 1] = -KP * gain
        self.model.actuator_biasprm[:, 2] = -KV * gain

    def step(self, n_steps: int = 1) -> None:
        """Advance by ``n_steps`` of 2 ms."""
        mujoco.mj_step(self.model, self.data, n_steps)

    @property
    def time_s(self) -> float:
        """Simulated time since the reset."""
        return float(self.data.time)

    @property
    def joints(self) -> np.ndarray:
        """Joint positions (6,) rad."""
        return self.data.qpos[:6].copy()

    @property
    def joint_velocity(self) -> np.ndarray:
        """Joint velocities (6,) rad/s."""
        return self.data.qvel[:6].copy()

    @property
    def joint_load(self) -> np.ndarray:
        """Torques of the servos (6,) N m."""
        return self.data.actuator_force.copy()

    @property
    def holding_torque(self) -> np.ndarray:
        """Torque (6,) N m that gravity and motion ask of each joint now, contacts left out."""
        return self.data.qfrc_bias[:6].copy()

    @property
    def gripper_pose(self) -> np.ndarray:
        """Pose (7,) of the grasp point; x along the hand, z from the fixed to the moving finger."""
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, self.data.site_xmat[self._site])
        return np.concatenate([self.data.site_xpos[self._site], np.roll(quaternion, -1)])

    @property
    def cube_poses(self) -> np.ndarray:
        """Poses (n, 7) of the cubes."""
        poses: np.ndarray = self.data.qpos[6:].reshape(self.n_cubes, 7)[:, _XYZW]
        return poses

    @property
    def cube_speeds(self) -> np.ndarray:
        """Speeds (n,) of the cubes' centres, m/s."""
        speeds: np.ndarray = np.linalg.norm(self.data.qvel[6:].reshape(self.n_cubes, 6)[:, :3], axis=1)
        return speeds

    @property
    def jaw_open(self) -> bool:
        """Whether the jaw is clearly wider than a cube."""
        return bool(self.data.qpos[5] > GRASP_JAW_RAD + 0.1)

    def touched(self, number: int) -> bool:
        """Whether a finger touches cube ``number``."""
        contacts = self.data.contact.geom[: self.data.ncon]
        cube = self._cube_geoms[number]
        return any(cube in pair and not self._fingers.isdisjoint(pair.tolist()) for pair in contacts)

    def shapes(self) -> list[Shape]:
        """Everything but the table, for drawing."""
        kinds = {
            int(mujoco.mjtGeom.mjGEOM_BOX): "box",
            int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
            int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
        }
        found = []
        for i in range(self.model.ngeom):
            kind = kinds.get(int(self.model.geom_type[i]))
            if kind is not None:
                name = self.model.geom(i).name or self.model.body(self.model.geom_bodyid[i]).name
                found.append(
                    Shape(
                        name, kind, self.model.geom_size[i].copy(), self.data.geom_xpos[i].copy(),
                        self.data.geom_xmat[i].reshape(3, 3).copy(), self.model.geom_rgba[i].copy(),
                    )
                )  # fmt: skip
        return found
