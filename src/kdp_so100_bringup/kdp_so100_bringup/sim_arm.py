"""The simulated arm: six servos mounted on the joints of a scene.

Where a servo's encoder stands when its joint is in the middle of its limits is a matter of assembly,
different for each joint and each arm. The arm here was assembled as `MOUNTED_TICKS` says and then calibrated,
so that its EEPROM holds what `arm_calibration` returns: the middle of each joint's limits reads 2047, as
after lerobot's calibration, and wrist_roll has the full turn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_core.sim.so100_model import KP, TORQUE_LIMIT_N_M
from kdp_so100_bringup.calibration import TICK_RAD, Calibration, MotorCalibration
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.servo import Servo

MOUNTED_TICKS = (-312, 845, 1190, -77, 402, -1520)
"""Homing offsets that the assembled arm needs."""
FULL_TURN_JOINT = "wrist_roll"
STALL_N_M = TORQUE_LIMIT_N_M[0]


class ArmScene(Protocol):
    """What the servos need of `kdp_core.sim.so100.So100Scene` or of `JointModel`."""

    dt: float

    @property
    def joints(self) -> np.ndarray: ...  # noqa: D102
    @property
    def joint_velocity(self) -> np.ndarray: ...  # noqa: D102
    @property
    def joint_load(self) -> np.ndarray: ...  # noqa: D102
    def command(self, targets: np.ndarray) -> None: ...  # noqa: D102
    def torque(self, enabled: np.ndarray) -> None: ...  # noqa: D102
    def step(self, n_steps: int = 1) -> None: ...  # noqa: D102


def arm_calibration() -> Calibration:
    """Return the calibration that belongs to the simulated arm."""
    motors = []
    for i, (name, offset) in enumerate(zip(JOINTS, MOUNTED_TICKS, strict=True)):
        half = round(0.5 * float(HIGH_RAD[i] - LOW_RAD[i]) / TICK_RAD)
        low, high = (0, 4095) if name == FULL_TURN_JOINT else (2047 - half, 2047 + half)
        motors.append(MotorCalibration(i + 1, 0, offset, low, high))
    return Calibration(motors)


class SimArm:
    """Servos on the joints of a scene. `lock` guards the servos: a bus thread reads them while this steps.

    Args:
        scene: the joints.
        calibration: the arm's own, as in its EEPROM; its offsets say how it was assembled.
        calibrated: False: the EEPROM is as the factory delivers it.
        seed: of the encoders' noise.
    """

    def __init__(
        self, scene: ArmScene, calibration: Calibration, calibrated: bool = True, seed: int = 0
    ) -> None:
        self.lock = threading.Lock()
        self.noise_ticks = 0.0
        self._rng = np.random.default_rng([seed, 7])
        motors = calibration.motors
        self._sign = np.array([-1.0 if motor.drive_mode else 1.0 for motor in motors])
        self._middle_rad = 0.5 * (LOW_RAD + HIGH_RAD)
        self._middle_tick = np.array([0.5 * (m.range_min + m.range_max) + m.homing_offset for m in motors])
        self.scene = scene
        self.servos = tuple(Servo(motor.id) for motor in motors)
        for servo, motor in zip(self.servos, motors, strict=True):
            values = {
                Register.HOMING_OFFSET: motor.homing_offset,
                Register.MIN_POSITION: motor.range_min,
                Register.MAX_POSITION: motor.range_max,
            }
            if calibrated:
                servo.memory.keep(values)
        self.place()

    def advance(self, n_steps: int) -> None:
        """Let the scene run for `n_steps` of its own with the servos driving the joints."""
        joints = self.scene.joints
        with self.lock:
            powered = np.array([servo.powered for servo in self.servos])
            targets = self._rad([servo.setpoint for servo in self.servos])
            share = np.array([servo.torque_limit for servo in self.servos])
        # A position loop of gain KP cannot give more than the limit if its error cannot be larger than this.
        reach = np.where(share < 1.0, share * STALL_N_M / KP, np.inf)
        self.scene.torque(powered)
        self.scene.command(np.clip(targets, joints - reach, joints + reach))
        self.scene.step(n_steps)
        self._sense(n_steps * self.scene.dt)

    def place(self) -> None:
        """The scene put its joints somewhere else: the servos are there now, and hold."""
        with self.lock:
            for servo, tick in zip(self.servos, self._ticks(self.scene.joints), strict=True):
                servo.place(float(tick))

    def _sense(self, dt_s: float) -> None:
        ticks = self._ticks(self.scene.joints)
        if self.noise_ticks > 0:
            ticks = ticks + self._rng.normal(0.0, self.noise_ticks, len(ticks))
        speed = self._sign * self.scene.joint_velocity / TICK_RAD
        torque = self._sign * np.clip(self.scene.joint_load / STALL_N_M, -1.0, 1.0)
        rows = zip(self.servos, ticks.tolist(), speed.tolist(), torque.tolist(), strict=True)
        with self.lock:
            for servo, tick, ticks_per_s, share in rows:
                servo.advance(dt_s, tick, ticks_per_s, share)

    def _ticks(self, joints: np.ndarray) -> np.ndarray:
        """Joints (6,) rad -> actual positions (6,) ticks."""
        ticks: np.ndarray = self._middle_tick + self._sign * (joints - self._middle_rad) / TICK_RAD
        return ticks

    def _rad(self, ticks: Sequence[float]) -> np.ndarray:
        """Actual positions (6,) ticks -> joints (6,) rad."""
        rad: np.ndarray = self._middle_rad + self._sign * (np.asarray(ticks) - self._middle_tick) * TICK_RAD
        return rad
