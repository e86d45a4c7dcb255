# SPDX-License-Identifier: GPL-3.0-or-later
"""Commander of the simulated firmware: which setpoint is active, how old it is, and who may replace it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import Enum, IntEnum

from kdp_crazyflie_bringup.crtp import decompress_quaternion

STOP, FULL_STATE, POSITION, VELOCITY_WORLD, HOVER = 0, 6, 7, 8, 10


class Kind(Enum):
    """Kinds of setpoint; OFF stops the motors."""

    OFF = "off"
    VELOCITY = "velocity"
    HOVER = "hover"
    POSITION = "position"


class Priority(IntEnum):
    """A setpoint replaces another of the same or a lower priority."""

    LOWEST = 0
    HIGH_LEVEL = 1
    LINK = 2


@dataclass(frozen=True)
class Setpoint:
    """One setpoint.

    Attributes:
        values: VELOCITY: vx, vy, vz (m/s, world), yaw rate (rad/s). HOVER: vx, vy (m/s, body), yaw rate
            (rad/s), z (m). POSITION: x, y, z (m), yaw (rad). OFF: empty.
    """

    kind: Kind
    values: tuple[float, ...] = ()


OFF = Setpoint(Kind.OFF)


def decode_setpoint(data: bytes) -> Setpoint | None:
    """Decode a packet of port 7, channel 0; None if it is not a setpoint that is simulated.

    Angles are degrees on the wire. A full-state setpoint is followed in position and yaw only.
    """
    if not data:
        return None
    kind, body = data[0], data[1:]
    if kind == STOP:
        return OFF
    try:
        if kind == FULL_STATE:
            x, y, z = struct.unpack_from("<hhh", body)
            qx, qy, qz, qw = decompress_quaternion(struct.unpack_from("<I", body, 18)[0])
            yaw = math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))
            return Setpoint(Kind.POSITION, (x / 1000, y / 1000, z / 1000, yaw))
        a, b, c, d = struct.unpack("<ffff", body)
    except struct.error:
        return None
    if not all(math.isfinite(value) for value in (a, b, c, d)):
        return None
    if kind == VELOCITY_WORLD:
        return Setpoint(Kind.VELOCITY, (a, b, c, math.radians(d)))
    if kind == HOVER:
        return Setpoint(Kind.HOVER, (a, b, math.radians(c), d))
    if kind == POSITION:
        return Setpoint(Kind.POSITION, (a, b, c, math.radians(d)))
    return None


class Commander:
    """Holds the active setpoint, its time and its priority."""

    def __init__(self) -> None:
        self.setpoint = OFF
        self.priority = Priority.LOWEST
        self.time_s = -math.inf

    def offer(self, setpoint: Setpoint, priority: Priority, now_s: float) -> bool:
        """Take the setpoint unless one of higher priority is active; return whether it was taken."""
        if priority < self.priority:
            return False
        self.setpoint, self.priority, self.time_s = setpoint, priority, now_s
        return True

    def relax(self) -> None:
        """Let any source take over (``notify setpoints stop``)."""
        self.priority = Priority.LOWEST
