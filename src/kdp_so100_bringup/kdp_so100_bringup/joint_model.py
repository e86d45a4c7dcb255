"""Six joints without a world: stands in for `kdp_core.sim.so100.So100Scene` where MuJoCo is not installed.

Each joint follows its target like a first-order lag; without torque it stays where it is. There is no gravity
and there are no cubes.
"""

from __future__ import annotations

import numpy as np

from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_core.sim.so100_kinematics import hand_frame

TIME_CONSTANT_S = 0.05


class JointModel:
    """The part of `So100Scene` that servos and side channel use."""

    dt = 0.002
    n_cubes = 0

    def __init__(self) -> None:
        self.joints = 0.5 * (LOW_RAD + HIGH_RAD)
        self.joint_velocity = np.zeros(len(JOINTS))
        self.joint_load = np.zeros(len(JOINTS))
        self.time_s = 0.0
        self.cube_poses = np.zeros((0, 7))
        self.cube_speeds = np.zeros(0)
        self._targets = self.joints.copy()
        self._powered = np.ones(len(JOINTS), bool)

    def command(self, targets: np.ndarray) -> None:
        """Joint targets (6,) rad, clamped to the limits."""
        self._targets = np.clip(targets, LOW_RAD, HIGH_RAD)

    def torque(self, enabled: np.ndarray) -> None:
        """Power of the servos (6,) bool."""
        self._powered = np.asarray(enabled, bool).copy()

    def step(self, n_steps: int = 1) -> None:
        """Advance by ``n_steps`` of 2 ms."""
        time_s = n_steps * self.dt
        gap = np.where(self._powered, self._targets - self.joints, 0.0)
        moved = gap * (1.0 - np.exp(-time_s / TIME_CONSTANT_S))
        self.joint_load = np.clip(2.0 * gap, -2.9, 2.9)
        self.joints = self.joints + moved
        self.joint_velocity = moved / time_s
        self.time_s += time_s

    def place(self, joints: np.ndarray) -> None:
        """Put the joints (6,) rad somewhere, at rest."""
        self.joints = np.clip(joints, LOW_RAD, HIGH_RAD)
        self._targets, self.joint_velocity = self.joints.copy(), np.zeros(len(JOINTS))

    @property
    def gripper_pose(self) -> np.ndarray:
        """Position (3,) of the grasp point in the base frame, and no rotation."""
        return np.array([*hand_frame(self.joints)[0], 0.0, 0.0, 0.0, 1.0])

    @property
    def jaw_open(self) -> bool:
        """Whether the jaw is clearly wider than a cube."""
        return bool(self.joints[5] > 0.3)

    def touched(self, number: int) -> bool:
        """Whether a finger touches cube ``number``: there is none."""
        return False
