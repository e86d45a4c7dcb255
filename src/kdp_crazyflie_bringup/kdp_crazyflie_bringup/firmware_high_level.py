# SPDX-License-Identifier: GPL-3.0-or-later
"""High-level commander (port 8) of the simulated firmware: take off, land, go to, stop.

Motions are polynomials of 7th order with zero acceleration and jerk at both ends, as in the firmware's
``piecewise_plan_7th_order_no_jerk``. Uploaded trajectories and spirals are answered with ENOEXEC.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import Enum

from kdp_crazyflie_bringup.crtp import Errno

SET_GROUP_MASK, STOP, GO_TO, TAKEOFF_2, LAND_2, GO_TO_2 = 0, 3, 4, 7, 8, 12

Vector = tuple[float, float, float]


class Mode(Enum):
    """What the high-level commander does."""

    IDLE = "idle"
    FLYING = "flying"
    LANDING = "landing"


def septic(start: float, start_velocity: float, end: float, duration_s: float, t_s: float) -> float:
    """Evaluate the 7th-order polynomial from (start, start_velocity) to rest at end.

    Acceleration and jerk are zero at both ends; t_s is clamped to [0, duration_s].
    """
    if t_s >= duration_s or duration_s <= 0:
        return end
    u = max(t_s, 0.0) / duration_s
    distance = end - start
    rate = start_velocity * duration_s
    # Solution of the 8 boundary conditions in normalised time: value and rate parts.
    value = u**4 * (35 + u * (-84 + u * (70 - 20 * u)))
    slope = u + u**4 * (-20 + u * (45 + u * (-36 + 10 * u)))
    return start + distance * value + rate * slope


@dataclass(frozen=True)
class Motion:
    """One planned motion from (position, velocity, yaw) to a position and yaw."""

    start_s: float
    duration_s: float
    position: Vector
    velocity: Vector
    yaw: float
    end: Vector
    end_yaw: float
    linear: bool = False

    def at(self, now_s: float) -> tuple[Vector, float]:
        """Return (position, yaw) at now_s; after the end it stays there."""
        t = now_s - self.start_s
        if self.linear:
            share = 1.0 if self.duration_s <= 0 else min(max(t / self.duration_s, 0.0), 1.0)
            x, y, z = (a + share * (b - a) for a, b in zip(self.position, self.end, strict=True))
            return (x, y, z), self.yaw + share * (self.end_yaw - self.yaw)
        x, y, z = (
            septic(a, v, b, self.duration_s, t)
            for a, v, b in zip(self.position, self.velocity, self.end, strict=True)
        )
        return (x, y, z), septic(self.yaw, 0.0, self.end_yaw, self.duration_s, t)

    def finished(self, now_s: float) -> bool:
        """Return whether the motion's time is over."""
        return now_s >= self.start_s + self.duration_s


class HighLevelCommander:
    """Turns high-level commands into position setpoints."""

    def __init__(self) -> None:
        self.mode = Mode.IDLE
        self.motion: Motion | None = None

    def stop(self) -> None:
        """Forget the motion; when nobody else sends setpoints, the motors stop."""
        self.mode = Mode.IDLE

    def finished(self, now_s: float) -> bool:
        """Return whether no motion is under way."""
        return self.motion is None or self.motion.finished(now_s)

    def setpoint(self, now_s: float) -> tuple[Vector, float] | None:
        """Return (position, yaw) to hold now, or None when the motors should be off."""
        if self.mode is Mode.IDLE or self.motion is None:
            return None
        target = self.motion.at(now_s)
        if self.mode is Mode.LANDING and self.motion.finished(now_s):
            self.mode = Mode.IDLE
        return target

    def handle(self, data: bytes, now_s: float, position: Vector, velocity: Vector, yaw: float) -> int:
        """Execute one command packet from the given state and return an error number.

        While a motion is followed, a new one starts from the present setpoint, not from the estimate.
        """
        if self.mode is not Mode.IDLE and self.motion is not None:
            position, yaw = self.motion.at(now_s)
            before, _ = self.motion.at(now_s - 0.01)
            velocity = tuple((a - b) / 0.01 for a, b in zip(position, before, strict=True))  # type: ignore[assignment]
        try:
            return self._execute(data, now_s, position, velocity, yaw)
        except struct.error:
            return Errno.EINVAL

    def _execute(self, data: bytes, now_s: float, position: Vector, velocity: Vector, yaw: float) -> int:
        command = data[0] if data else -1
        linear = False
        if command == SET_GROUP_MASK:
            return Errno.OK
        if command == STOP:
            self.stop()
            return Errno.OK
        if command in (TAKEOFF_2, LAND_2):
            _, _, height, end_yaw, keep_yaw, duration = struct.unpack_from("<BBff?f", data)
            end = (position[0], position[1], height)
            end_yaw = yaw if keep_yaw else end_yaw
            velocity = (0.0, 0.0, 0.0)
        elif command in (GO_TO, GO_TO_2):
            if command == GO_TO_2:
                _, _, relative, linear, x, y, z, end_yaw, duration = struct.unpack_from("<BB??fffff", data)
            else:
                _, _, relative, x, y, z, end_yaw, duration = struct.unpack_from("<BB?fffff", data)
            end = (position[0] + x, position[1] + y, position[2] + z) if relative else (x, y, z)
            end_yaw = yaw + end_yaw if relative else end_yaw
        else:
            return Errno.ENOEXEC
        if not all(math.isfinite(value) for value in (*end, end_yaw, duration)) or duration < 0:
            return Errno.EINVAL
        turn = math.remainder(end_yaw - yaw, 2 * math.pi)
        self.motion = Motion(now_s, duration, position, velocity, yaw, end, yaw + turn, linear)
        self.mode = Mode.LANDING if command == LAND_2 else Mode.FLYING
        return Errno.OK
