"""Limits on joint commands and guards of the servos: no ROS, no clock.

Every function gets the time and the state as arguments, so tests turn the clock as they like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from kdp_core.sim.so100_geometry import JOINTS

Joints = tuple[float, ...]
AHEAD_S = 0.1  # of the clock: so far may another host's be ahead


class CommandRefused(Exception):
    """A command is not executed, not even in part; the message is one line that says why."""


@dataclass(frozen=True)
class Limits:
    """What a command may ask for; on by default.

    Attributes:
        low, high: (6) rad; a target outside is clipped.
        max_velocity: change of the target, rad/s.
        max_step: farthest that a target may lie from where the joint is, rad.
        max_command_age_s: stamped commands older than this are refused, s.
    """

    low: Joints
    high: Joints
    max_velocity: float = 6.0
    max_step: float = 0.5
    max_command_age_s: float = 0.5


@dataclass(frozen=True)
class Limited:
    """A command after the limits; `limited` says whether they changed it."""

    targets: Joints
    limited: bool


def require_command(targets: Sequence[float]) -> None:
    """Refuse a command of another length than six, or with NaN or infinity.

    Raises:
        CommandRefused: see above.
    """
    if len(targets) != len(JOINTS):
        raise CommandRefused(f"command has {len(targets)} positions, expected {len(JOINTS)}")
    if not all(math.isfinite(target) for target in targets):
        raise CommandRefused(f"command is not finite: {', '.join(f'{target:g}' for target in targets)}")


def require_fresh(age_s: float | None, limits: Limits) -> None:
    """Refuse a stamped command that is too old or from the future (None: the command carries no stamp).

    Raises:
        CommandRefused: older than `max_command_age_s`, or ahead by more than AHEAD_S.
    """
    if age_s is not None and age_s < -AHEAD_S:  # its age is unknown: it may lie around for as long
        raise CommandRefused(
            f"command is stamped {-age_s:.2f} s ahead, at most {AHEAD_S:g} s are accepted (clocks differ?)"
        )
    if age_s is not None and age_s > limits.max_command_age_s:
        raise CommandRefused(
            f"command is {age_s:.2f} s old, at most {limits.max_command_age_s:g} s are accepted"
        )


class CommandGuard:
    """Limits joint targets, knowing where the joints are and what was sent before."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._last: Joints | None = None
        self._last_s = 0.0

    def restart(self) -> None:
        """Forget the command sent before: the next one starts from where the joints are."""
        self._last = None

    def apply(self, targets: Sequence[float], present: Sequence[float], now_s: float) -> Limited:
        """Targets (6) rad that may be sent at now_s with the joints at present (6) rad.

        A joint that lies outside its limits, or was pushed away, comes back at no more than max_velocity.

        Raises:
            CommandRefused: wrong length or not finite.
        """
        require_command(targets)
        limits = self.limits
        last = tuple(present) if self._last is None else self._last
        # A gap between commands must not add up to a licence to jump: 0.1 s is the most that counts.
        elapsed = 0.02 if self._last is None else min(max(now_s - self._last_s, 0.0), 0.1)
        travel = limits.max_velocity * elapsed
        allowed = []
        for target, before, here, low, high in zip(
            targets, last, present, limits.low, limits.high, strict=True
        ):
            # The velocity limit comes last: no other limit, nor a change of one, may make the target jump.
            value = min(max(target, low), high)
            value = min(max(value, here - limits.max_step), here + limits.max_step)
            allowed.append(min(max(value, before - travel), before + travel))
        self._last, self._last_s = tuple(allowed), now_s
        changed = any(abs(a - b) > 1e-6 for a, b in zip(allowed, targets, strict=True))
        return Limited(self._last, changed)


@dataclass(frozen=True)
class GuardLimits:
    """When a servo is in danger.

    Attributes:
        max_celsius: hotter is a fault, C.
        max_load: share of the stall torque, except the gripper's, which grasps with all it may.
        min_volts, max_volts: supply outside is a fault, V.
        patience_s: so long it must last, s.
    """

    max_celsius: float = 65.0
    max_load: float = 0.9
    min_volts: float = 4.5
    max_volts: float = 13.5
    patience_s: float = 1.0


@dataclass
class ServoGuard:
    """Watches temperature, load and voltage; a fault lasts until the value is good again for as long."""

    limits: GuardLimits = field(default_factory=GuardLimits)
    fault: str = ""
    detail: str = ""
    _candidate: str = ""
    _since_s: float = 0.0

    def update(
        self, celsius: Sequence[float], load: Sequence[float], volts: Sequence[float], now_s: float
    ) -> str:
        """Take new readings (6 each, or empty); returns the fault's short name, "" if there is none."""
        name, detail = self._judge(celsius, load, volts)
        if name != self._candidate:
            self._candidate, self._since_s = name, now_s
        if now_s - self._since_s >= self.limits.patience_s:
            self.fault, self.detail = name, detail
        return self.fault

    def _judge(
        self, celsius: Sequence[float], load: Sequence[float], volts: Sequence[float]
    ) -> tuple[str, str]:
        limits = self.limits
        checks = (
            ("over_temperature", celsius, lambda v: v > limits.max_celsius, "C"),
            ("overload", load[: len(JOINTS) - 1], lambda v: abs(v) > limits.max_load, "of the stall torque"),
            ("low_voltage", volts, lambda v: v < limits.min_volts, "V"),
            ("high_voltage", volts, lambda v: v > limits.max_volts, "V"),
        )
        for name, values, bad, unit in checks:
            for joint, value in zip(JOINTS, values, strict=False):
                if not math.isfinite(value) or bad(value):
                    return name, f"{joint} at {value:.3g} {unit}"
        return "", ""


class ErrorRate:
    """Share of failed reads among the last `window`: single ones are repeated, many are a fault."""

    def __init__(self, window: int = 100, threshold: float = 0.2, consecutive: int = 5) -> None:
        self._window, self._threshold, self._limit = window, threshold, consecutive
        self._failed: list[bool] = []
        self._in_a_row = 0

    def add(self, failed: bool) -> None:
        """Note one read."""
        self._failed.append(failed)
        del self._failed[: -self._window]
        self._in_a_row = self._in_a_row + 1 if failed else 0

    @property
    def share(self) -> float:
        """Of the failed ones."""
        return sum(self._failed) / len(self._failed) if self._failed else 0.0

    @property
    def too_many(self) -> bool:
        """Whether this is a fault: too many, or too many in a row."""
        return self._in_a_row >= self._limit or (
            len(self._failed) >= self._window // 2 and self.share > self._threshold
        )

    @property
    def calm(self) -> bool:
        """Whether a fault is over: well below what makes one."""
        return self._in_a_row == 0 and self.share < 0.5 * self._threshold

    def reset(self) -> None:
        """Forget everything."""
        self._failed, self._in_a_row = [], 0
