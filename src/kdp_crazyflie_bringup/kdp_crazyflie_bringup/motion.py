# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the firmware's own motions must take, and position commands that do not jump. No ROS, no clock."""

from __future__ import annotations

import math

from kdp_crazyflie_bringup.safety import CommandRefused, Limits, Vector, VelocityGuard

PEAK = 2.2  # fastest over mean speed of the firmware's polynomials of 7th order
SHORTEST_S, LONGEST_S = 0.5, 60.0
APPROACH = 2.5  # 1/s: speed towards a commanded position per metre of distance
LEAD_M = 0.5  # the setpoint runs ahead of the drone by no more


def motion_time(start: Vector, goal: Vector, asked_s: float, limits: Limits) -> float:
    """Return the duration of a high-level motion, s: what is asked for, or longer to keep the speed limits.

    Raises:
        CommandRefused: it would take longer than a minute, in which nothing else can be commanded.
    """
    horizontal = math.dist(start[:2], goal[:2]) / limits.max_horizontal
    vertical = abs(goal[2] - start[2]) / limits.max_vertical
    least = max(horizontal, vertical) * PEAK
    if not asked_s <= LONGEST_S:
        raise CommandRefused(f"a motion of {asked_s:g} s: at most {LONGEST_S:g} s are accepted")
    return max(asked_s, least, SHORTEST_S)


def check_landing(height: float, z: float) -> None:
    """Refuse a landing that would not go down from z (m).

    Raises:
        CommandRefused: height is not finite, negative, or not below the drone.
    """
    if not (math.isfinite(height) and (height == 0.0 or 0.0 < height < z)):
        raise CommandRefused(f"cannot land at {height:g} m: it must be 0 or more and below {z:.2f} m")


def wrap_angle(angle: float) -> float:
    """Return the angle (rad, finite) in [-pi, pi)."""
    wrapped = math.remainder(angle, 2 * math.pi)
    return -math.pi if wrapped >= math.pi else wrapped


class Carrot:
    """A setpoint that runs from the drone to a commanded position, no faster than the guard allows.

    Args:
        guard: the guard of the velocity commands.
    """

    def __init__(self, guard: VelocityGuard) -> None:
        self._guard = guard
        self._at: Vector | None = None
        self._last_s = 0.0

    def drop(self) -> None:
        """Start from the drone again at the next command: something else has moved it."""
        self._at = None

    def move(self, goal: Vector, position: Vector, now_s: float) -> tuple[Vector, bool]:
        """Return (setpoint, limited) towards goal at now_s, with the drone at position (m, world)."""
        if self._at is None:
            self._guard.restart()
            self._at, self._last_s = position, now_s - 0.02
        elapsed = min(max(now_s - self._last_s, 0.0), 0.1)  # a pause is no licence to jump
        self._last_s = now_s
        wanted = tuple(APPROACH * (g - a) for g, a in zip(goal, self._at, strict=True))
        vx, vy, vz, _ = self._guard.apply((wanted[0], wanted[1], wanted[2]), 0.0, self._at, now_s).values
        ahead = (self._at[0] + vx * elapsed, self._at[1] + vy * elapsed, self._at[2] + vz * elapsed)
        distance = math.dist(ahead, position)
        if distance > LEAD_M:
            x, y, z = (p + (a - p) * LEAD_M / distance for a, p in zip(ahead, position, strict=True))
            ahead = (x, y, z)
        self._at = ahead
        return ahead, math.dist(ahead, goal) > 0.05
