# SPDX-License-Identifier: GPL-3.0-or-later
"""One state of the drone as the driver gets it: the log block it comes in, and its conversion to SI units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kdp_crazyflie_bringup.crtp import decompress_quaternion
from kdp_crazyflie_bringup.firmware_supervisor import Info

#: One block of 26 bytes holds a state of one instant: mm, mm/s, compressed quaternion, mrad/s.
LOG_VARIABLES = [(f"stateEstimateZ.{name}", "int16_t") for name in ("x", "y", "z", "vx", "vy", "vz")] + [
    ("stateEstimateZ.quat", "uint32_t"),
    ("stateEstimateZ.rateRoll", "int16_t"),
    ("stateEstimateZ.ratePitch", "int16_t"),
    ("stateEstimateZ.rateYaw", "int16_t"),
    ("pm.vbat", "FP16"),
    ("supervisor.info", "uint16_t"),
]

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class DroneState:
    """One state packet.

    Attributes:
        received_ns: CLOCK_MONOTONIC when cflib handed it over.
        position: m, world. velocity: m/s, world. quaternion: x, y, z, w, body to world.
        body_rates: rad/s, body frame (REP-103 signs).
        battery_v: V. info: the supervisor's bits.
    """

    received_ns: int
    position: Vector
    velocity: Vector
    quaternion: tuple[float, float, float, float]
    body_rates: Vector
    battery_v: float
    info: Info

    @property
    def yaw(self) -> float:
        """Heading, rad."""
        x, y, z, w = self.quaternion
        return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))

    @property
    def velocity_body(self) -> Vector:
        """Velocity in the body frame, m/s."""
        x, y, z, w = self.quaternion
        a, b, c = self.velocity
        return (
            (1 - 2 * (y * y + z * z)) * a + 2 * (x * y + z * w) * b + 2 * (x * z - y * w) * c,
            2 * (x * y - z * w) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z + x * w) * c,
            2 * (x * z + y * w) * a + 2 * (y * z - x * w) * b + (1 - 2 * (x * x + y * y)) * c,
        )


def state_from_log(values: dict[str, Any], received_ns: int) -> DroneState:
    """Turn the values of `LOG_VARIABLES` into SI units; the logged pitch rate has the opposite sign."""
    z = {name: float(values[f"stateEstimateZ.{name}"]) / 1000 for name in ("x", "y", "z", "vx", "vy", "vz")}
    rates = [float(values[f"stateEstimateZ.{name}"]) / 1000 for name in ("rateRoll", "ratePitch", "rateYaw")]
    return DroneState(
        received_ns=received_ns,
        position=(z["x"], z["y"], z["z"]),
        velocity=(z["vx"], z["vy"], z["vz"]),
        quaternion=decompress_quaternion(int(values["stateEstimateZ.quat"])),
        body_rates=(rates[0], -rates[1], rates[2]),
        battery_v=float(values["pm.vbat"]),
        info=Info(int(values["supervisor.info"]) & 0x7FF),
    )
