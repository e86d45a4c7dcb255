# SPDX-License-Identifier: GPL-3.0-or-later
"""State estimate of the simulated firmware: truth plus seeded noise, in the units of the log variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdp_crazyflie_bringup.crtp import compress_quaternion

GRAVITY = 9.81


@dataclass(frozen=True)
class StateNoise:
    """Standard deviations of the white noise on each reading of the estimate."""

    position_m: float = 0.002
    velocity_m_s: float = 0.01
    attitude_rad: float = 0.002


@dataclass(frozen=True)
class Truth:
    """State of the simulated drone, all in the world frame unless said otherwise.

    Attributes:
        position: (3,) m. velocity: (3,) m/s. quaternion: (4,) x, y, z, w, body to world.
        body_rates: (3,) rad/s in the body frame. acceleration: (3,) m/s^2 without gravity.
    """

    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    body_rates: NDArray[np.float64]
    acceleration: NDArray[np.float64]

    def rotation(self) -> NDArray[np.float64]:
        """Return the (3, 3) rotation from body to world."""
        x, y, z, w = self.quaternion
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )

    def specific_force_g(self) -> tuple[float, float, float]:
        """Return what an accelerometer measures, in g, body frame."""
        force = self.rotation().T @ (self.acceleration + np.array([0.0, 0.0, GRAVITY])) / GRAVITY
        return float(force[0]), float(force[1]), float(force[2])

    def roll_pitch_yaw(self) -> tuple[float, float, float]:
        """Return the angles of REP-103 (x forward, y left, z up), rad."""
        x, y, z, w = (float(value) for value in self.quaternion)
        roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        pitch = math.asin(min(max(2 * (w * y - z * x), -1.0), 1.0))
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        return roll, pitch, yaw


def noisy(truth: Truth, noise: StateNoise, rng: np.random.Generator) -> Truth:
    """Return truth with noise on position, velocity and attitude."""
    draw = rng.standard_normal(9)
    x, y, z, w = truth.quaternion
    a, b, c = 0.5 * noise.attitude_rad * draw[6:]
    # Right-multiplication by a small rotation given in the body frame.
    turned = np.array(
        [
            x + w * a + y * c - z * b,
            y + w * b + z * a - x * c,
            z + w * c + x * b - y * a,
            w - x * a - y * b - z * c,
        ]
    )
    return Truth(
        position=truth.position + noise.position_m * draw[:3],
        velocity=truth.velocity + noise.velocity_m_s * draw[3:6],
        quaternion=turned / np.linalg.norm(turned),
        body_rates=truth.body_rates,
        acceleration=truth.acceleration,
    )


def log_values(state: Truth) -> Mapping[str, float]:
    """Return the log variables of one estimate, with the firmware's units and signs.

    ``stateEstimate`` has m, m/s, g and degrees, its pitch with the sign opposite to REP-103;
    ``stateEstimateZ`` has mm, mm/s, mm/s^2 (gravity included), mrad/s and a compressed quaternion.
    Source: ``stabilizer.c`` (``compressState`` and the log groups).
    """
    roll, pitch, yaw = (math.degrees(angle) for angle in state.roll_pitch_yaw())
    rates = [math.degrees(float(rate)) for rate in state.body_rates]
    force = state.specific_force_g()
    values: dict[str, float] = {"stateEstimateZ.quat": compress_quaternion(state.quaternion.tolist())}
    gravity = (0.0, 0.0, GRAVITY)
    for i, axis in enumerate("xyz"):
        position, velocity = float(state.position[i]), float(state.velocity[i])
        acceleration = float(state.acceleration[i])
        values[f"stateEstimate.{axis}"] = values[f"kalman.state{axis.upper()}"] = position
        values[f"stateEstimate.v{axis}"] = velocity
        values[f"stateEstimate.a{axis}"] = acceleration / GRAVITY
        values[f"stateEstimateZ.{axis}"] = 1000 * position
        values[f"stateEstimateZ.v{axis}"] = 1000 * velocity
        values[f"stateEstimateZ.a{axis}"] = 1000 * (acceleration + gravity[i])
        values[f"gyro.{axis}"] = rates[i]
        values[f"acc.{axis}"] = force[i]
        values[f"kalman.varP{axis.upper()}"] = 1e-5
    values["stateEstimateZ.rateRoll"] = 1000 * float(state.body_rates[0])
    values["stateEstimateZ.ratePitch"] = -1000 * float(state.body_rates[1])
    values["stateEstimateZ.rateYaw"] = 1000 * float(state.body_rates[2])
    for group in ("stateEstimate", "stabilizer"):
        values[f"{group}.roll"], values[f"{group}.pitch"], values[f"{group}.yaw"] = roll, -pitch, yaw
    for name, value in zip(("qx", "qy", "qz", "qw"), state.quaternion, strict=True):
        values[f"stateEstimate.{name}"] = float(value)
    return values
