"""What lies around the simulated arm: scenes, resets and the truth message."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup.calibration import Calibration
from kdp_so100_bringup.joint_model import JointModel
from kdp_so100_bringup.sim_arm import SimArm, arm_calibration


class SimWorld:
    """Arm, cubes and goal.

    Args:
        kind: "so100" (MuJoCo) or "joints" (no cubes).
        calibration: file of the arm's own calibration, None: `arm_calibration`.
        calibrated: whether the servos' EEPROM holds it.
        seed: of the encoders' noise.
    """

    def __init__(
        self, kind: Literal["so100", "joints"], calibration: Path | None, calibrated: bool, seed: int
    ) -> None:
        self._kind = kind
        self._scene: Any = self._new_scene(1)
        own = arm_calibration() if calibration is None else Calibration.load(calibration)
        self.arm = SimArm(self._scene, own, calibrated, seed)
        self.task: str | None = None
        self.seed: int | None = None
        self.goal: list[float] | None = None
        self.resets = 0

    @property
    def dt(self) -> float:
        """Step of the physics, s."""
        return float(self._scene.dt)

    def reset_random(self, task: str, seed: int, keep_joints: bool = False) -> dict[str, Any]:
        """Start the scene of a task and a seed; return it."""
        if self._kind == "joints":
            self._finish_reset(task, seed, None)
            return {"cubes": [], "goal": None, "joints": self._scene.joints.tolist(), "seed": seed}
        from kdp_core.sim.so100 import Scene

        scene = Scene.random(task, seed)  # type: ignore[arg-type]
        return self._reset(scene, task, keep_joints)

    def reset_given(self, data: dict[str, Any], keep_joints: bool = False) -> dict[str, Any]:
        """Start a scene given as JSON; return it."""
        if self._kind == "joints":
            self._scene.place(_numbers(data, "joints", (6,)))
            self._finish_reset(None, None, None)
            return {"cubes": [], "goal": None, "joints": self._scene.joints.tolist(), "seed": None}
        from kdp_core.sim.so100 import Scene

        cubes = _numbers(data, "cubes", (-1, 7))
        if len(cubes) > 8:
            raise ConfigError(f"side channel: at most 8 cubes, got {len(cubes)}")
        keep_joints = keep_joints or "joints" not in data
        joints = self._scene.joints if keep_joints else _numbers(data, "joints", (6,))
        return self._reset(Scene(cubes, _numbers(data, "goal", (3,)), joints, 0), None, keep_joints)

    def place_cube(self, number: int, pose: list[float]) -> None:
        """Put a cube somewhere."""
        if not 0 <= number < self._scene.n_cubes:
            raise ConfigError(f"side channel: cube must be below {self._scene.n_cubes}, got {number}")
        self._scene.place_cube(number, _numbers({"pose": pose}, "pose", (7,)))

    def truth(self) -> dict[str, Any]:
        """Return the truth message of now, without what only the process knows."""
        scene, servos = self._scene, self.arm.servos
        return {
            "type": "truth",
            "t_ns": time.monotonic_ns(),
            "time_s": scene.time_s,
            "task": self.task,
            "seed": self.seed,
            "resets": self.resets,
            "joints": scene.joints.tolist(),
            "joint_velocity": scene.joint_velocity.tolist(),
            "joint_load": scene.joint_load.tolist(),
            "gripper": scene.gripper_pose.tolist(),
            "cubes": scene.cube_poses.tolist(),
            "cube_speeds": scene.cube_speeds.tolist(),
            "goal": self.goal,
            "jaw_open": scene.jaw_open,
            "touched": [scene.touched(i) for i in range(scene.n_cubes)],
            "torque": [servo.powered for servo in servos],
            "silent": [servo.silent for servo in servos],
            "status": [servo.status for servo in servos],
        }

    def _reset(self, scene: Any, task: str | None, keep_joints: bool) -> dict[str, Any]:
        if keep_joints:
            scene = replace(scene, joints=self._scene.joints)
        if len(scene.cubes) != self._scene.n_cubes:
            self._scene = self.arm.scene = self._new_scene(len(scene.cubes))
        self._scene.reset(scene)
        self._finish_reset(task, scene.seed if task else None, scene.goal.tolist(), not keep_joints)
        return {
            "cubes": scene.cubes.tolist(),
            "goal": scene.goal.tolist(),
            "joints": scene.joints.tolist(),
            "seed": self.seed,
        }

    def _finish_reset(
        self, task: str | None, seed: int | None, goal: list[float] | None, moved: bool = True
    ) -> None:
        self.task, self.seed, self.goal = task, seed, goal
        self.resets += 1
        if moved:
            self.arm.place()

    def _new_scene(self, cubes: int) -> Any:
        if self._kind == "joints":
            return JointModel()
        try:
            from kdp_core.sim.so100 import So100Scene
        except ImportError as error:
            raise ConfigError(f"--scene so100 needs MuJoCo (pip install mujoco): {error}") from None
        return So100Scene(cubes)


def _numbers(data: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return finite numbers of a message in a shape."""
    try:
        array = np.asarray(data[name], dtype=np.float64).reshape(shape)
    except (KeyError, TypeError, ValueError):
        expected = " x ".join("n" if size < 0 else str(size) for size in shape)
        raise ConfigError(f"side channel: {name} must be {expected} numbers") from None
    if not np.isfinite(array).all():
        raise ConfigError(f"side channel: {name} must be finite")
    return array
