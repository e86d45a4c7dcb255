# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits on motion commands: finite values, speed, acceleration, fence and minimum height. No ROS, no clock.

Every function gets the time and the state as arguments, so tests turn the clock as they like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_FUTURE_S = 0.1
MAX_YAW = 100.0  # rad; more is no heading, and does not survive the conversion to degrees in 32 bits

Vector = tuple[float, float, float]


class CommandRefused(Exception):
    """A command is not executed, not even in part; the message is one line that says why."""


@dataclass(frozen=True)
class Limits:
    """What a command may ask for.

    Attributes:
        max_horizontal, max_vertical: m/s.
        max_yaw_rate: rad/s.
        max_acceleration: change of the velocity command per second, m/s^2.
        fence_min, fence_max: corners of the box in which the drone may fly, m, world frame.
        fence_margin: m outside the fence from which on commands are refused and the drone lands.
        fence_slowdown: outward speed allowed per metre of distance to the fence, 1/s.
        min_height: no command takes the drone below, m (only landing does).
        max_command_age_s: stamped commands older than this are refused, s.
    """

    max_horizontal: float = 0.8
    max_vertical: float = 0.5
    max_yaw_rate: float = 2.0
    max_acceleration: float = 8.0
    fence_min: Vector = (0.0, -2.0, 0.0)
    fence_max: Vector = (6.0, 2.0, 2.0)
    fence_margin: float = 0.2
    fence_slowdown: float = 2.0
    min_height: float = 0.2
    max_command_age_s: float = 0.5


@dataclass(frozen=True)
class Limited:
    """A command after the limits; `limited` says whether they changed it."""

    values: tuple[float, ...]
    limited: bool


def require_finite(values: Sequence[float]) -> None:
    """Refuse a command with NaN or infinity.

    Raises:
        CommandRefused: a value is not finite.
    """
    if not all(math.isfinite(value) for value in values):
        raise CommandRefused(f"command is not finite: {', '.join(f'{value:g}' for value in values)}")


def require_fresh(age_s: float | None, limits: Limits) -> None:
    """Refuse a stamped command that is too old (None: the command carries no stamp), or from the future.

    After a backward step of the clock every command is from the future, and none would ever be too old.

    Raises:
        CommandRefused: older than `max_command_age_s`, or stamped later than now by `MAX_FUTURE_S`.
    """
    if age_s is not None and age_s < -MAX_FUTURE_S:
        raise CommandRefused(f"command is stamped {-age_s:.2f} s in the future: the clocks disagree")
    if age_s is not None and age_s > limits.max_command_age_s:
        raise CommandRefused(
            f"command is {age_s:.2f} s old, at most {limits.max_command_age_s:g} s are accepted"
        )


def outside_fence(position: Vector, limits: Limits, margin: float = 0.0) -> bool:
    """Return whether position is outside the fence by more than margin (m); the ground is no fence."""
    lows = (limits.fence_min[0], limits.fence_min[1], -math.inf)
    return any(
        value < low - margin or value > high + margin
        for value, low, high in zip(position, lows, limits.fence_max, strict=True)
    )


class VelocityGuard:
    """Limits velocity commands in the world frame, knowing what was sent before.

    Args:
        limits: what to allow.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._last: Vector = (0.0, 0.0, 0.0)
        self._last_s: float | None = None

    def restart(self, velocity: Vector = (0.0, 0.0, 0.0)) -> None:
        """Forget the command sent before; velocity (m/s) is where the next one may start from."""
        self._last, self._last_s = velocity, None

    def apply(self, velocity: Vector, yaw_rate: float, position: Vector, now_s: float) -> Limited:
        """Return (vx, vy, vz, yaw_rate) that may be sent at now_s from position.

        The fence comes last: stopping at it may use more than `max_acceleration`.

        Raises:
            CommandRefused: a value is not finite.
        """
        require_finite((*velocity, yaw_rate, *position))
        limits = self.limits
        vx, vy, vz = velocity
        speed = math.hypot(vx, vy)
        if speed > limits.max_horizontal:
            vx, vy = vx * limits.max_horizontal / speed, vy * limits.max_horizontal / speed
        vz = min(max(vz, -limits.max_vertical), limits.max_vertical)
        wanted = self._limit_step((vx, vy, vz), now_s)
        safe = fence_velocity(wanted, position, limits)
        rate = min(max(yaw_rate, -limits.max_yaw_rate), limits.max_yaw_rate)
        self._last, self._last_s = safe, now_s
        changed = any(abs(a - b) > 1e-6 for a, b in zip((*safe, rate), (*velocity, yaw_rate), strict=True))
        return Limited((*safe, rate), changed)

    def _limit_step(self, velocity: Vector, now_s: float) -> Vector:
        # A gap between commands must not add up to a licence to jump: 0.1 s is the most that counts.
        elapsed = 0.02 if self._last_s is None else min(max(now_s - self._last_s, 0.0), 0.1)
        allowed = self.limits.max_acceleration * elapsed
        change = math.dist(velocity, self._last)
        if change <= allowed:
            return velocity
        share = allowed / change
        x, y, z = (last + share * (new - last) for new, last in zip(velocity, self._last, strict=True))
        return x, y, z


def fence_velocity(velocity: Vector, position: Vector, limits: Limits) -> Vector:
    """Return velocity with its outward parts reduced near the fence and the minimum height, to 0 at them."""
    lows = (limits.fence_min[0], limits.fence_min[1], max(limits.fence_min[2], limits.min_height))
    clipped = []
    for value, here, low, high in zip(velocity, position, lows, limits.fence_max, strict=True):
        fastest_up = max(high - here, 0.0) * limits.fence_slowdown
        fastest_down = max(here - low, 0.0) * limits.fence_slowdown
        clipped.append(min(max(value, -fastest_down), fastest_up))
    return clipped[0], clipped[1], clipped[2]


def limit_hover(
    velocity_body: tuple[float, float], yaw_rate: float, height: float, yaw: float, position: Vector,
    guard: VelocityGuard, now_s: float,
) -> Limited:  # fmt: skip
    """Return (vx, vy, yaw_rate, z) of a hover command, velocities in the body frame, after the limits.

    Args:
        velocity_body: m/s along the drone's heading and to its left.
        yaw_rate: rad/s. height: m. yaw: heading of the drone, rad. position: m, world.

    Raises:
        CommandRefused: a value is not finite.
    """
    require_finite((*velocity_body, yaw_rate, height, yaw))
    c, s = math.cos(yaw), math.sin(yaw)
    vx, vy = velocity_body
    world = guard.apply((c * vx - s * vy, s * vx + c * vy, 0.0), yaw_rate, position, now_s)
    wx, wy, _, rate = world.values
    z = min(max(height, guard.limits.min_height), guard.limits.fence_max[2])
    return Limited((c * wx + s * wy, -s * wx + c * wy, rate, z), world.limited or z != height)


def check_position(goal: Vector, yaw: float, limits: Limits) -> None:
    """Refuse a position command: not finite, outside the fence, below the minimum height, absurd yaw.

    Raises:
        CommandRefused: see above.
    """
    require_finite((*goal, yaw))
    if abs(yaw) > MAX_YAW:
        raise CommandRefused(f"yaw is {yaw:g} rad, at most {MAX_YAW:g} are accepted")
    if outside_fence(goal, limits):
        raise CommandRefused(f"position ({goal[0]:g}, {goal[1]:g}, {goal[2]:g}) is outside the fence")
    if goal[2] < limits.min_height:
        raise CommandRefused(
            f"position is at {goal[2]:g} m, below the minimum height of {limits.min_height:g} m"
        )
