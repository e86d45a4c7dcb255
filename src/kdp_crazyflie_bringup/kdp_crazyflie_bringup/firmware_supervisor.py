# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisor of the simulated firmware: may the motors run, and must the setpoint be overridden.

The states and transitions are those of crazyflie-firmware, ``supervisor_state_machine.c``, with the
time-outs of ``supervisor.c`` and ``platform_defaults.h`` for a Crazyflie that must be armed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, IntFlag

WATCHDOG_WARNING_S = 0.5
WATCHDOG_TIMEOUT_S = 2.0
EMERGENCY_WATCHDOG_S = 1.0
FLYING_HYSTERESIS_S = 2.0
PREFLIGHT_TIMEOUT_S = 30.0
LANDING_TIMEOUT_S = 3.0
TILT_ACC_Z, TILT_TIME_S = 0.5, 1.0
UPSIDE_DOWN_ACC_Z, UPSIDE_DOWN_TIME_S = -0.2, 0.1
FREE_FALL_ACC = 0.1


class State(Enum):
    """States of the firmware's supervisor."""

    CHECKS_NOT_PASSED = "preflight checks not passed"
    CHECKS_PASSED = "preflight checks passed"
    READY = "ready to fly"
    FLYING = "flying"
    LEVEL_OUT = "warning, level out"
    LANDED = "landed"
    CRASHED = "crashed"
    LOCKED = "locked"


class Info(IntFlag):
    """Bits of ``supervisor.info`` and of the supervisor port's bit field."""

    CAN_BE_ARMED = 1 << 0
    IS_ARMED = 1 << 1
    AUTO_ARM = 1 << 2
    CAN_FLY = 1 << 3
    IS_FLYING = 1 << 4
    IS_TUMBLED = 1 << 5
    IS_LOCKED = 1 << 6
    IS_CRASHED = 1 << 7
    HL_ACTIVE = 1 << 8
    HL_FINISHED = 1 << 9
    HL_DISABLED = 1 << 10


@dataclass
class Conditions:
    """What the supervisor looks at in one step.

    Attributes:
        setpoint_age_s: seconds since the commander's newest setpoint.
        thrust: the active setpoint makes the motors turn faster than idle.
        acc: specific force in the body frame, in g (x, y, z); (0, 0, 1) at rest.
        contact: the drone touched a pole (an impact, which the firmware would see as a tumble).
    """

    setpoint_age_s: float
    thrust: bool
    acc: tuple[float, float, float] = (0.0, 0.0, 1.0)
    contact: bool = False


class Supervisor:
    """State machine that decides whether the motors may run.

    Args:
        auto_arm: arm as soon as the checks pass (a Crazyflie 2.1 with brushed motors does).
    """

    def __init__(self, auto_arm: bool = False) -> None:
        self.auto_arm = auto_arm
        self.reboot()

    def reboot(self) -> None:
        """Forget everything, as a power cycle does."""
        self.state = State.CHECKS_NOT_PASSED
        self.armed = False
        self.tumbled = False
        self.crashed = False
        self.emergency_requested = False
        self._watchdog_s: float | None = None
        self._thrust_s = -math.inf
        self._ready_s = 0.0
        self._landed_s = 0.0
        self._tumble_s: float | None = None

    @property
    def can_fly(self) -> bool:
        """The firmware executes flight setpoints."""
        return self.state in (State.READY, State.FLYING, State.LEVEL_OUT, State.LANDED)

    @property
    def is_flying(self) -> bool:
        """The firmware believes that it is in the air."""
        return self.state in (State.FLYING, State.LEVEL_OUT)

    @property
    def level_out(self) -> bool:
        """The setpoint is to be replaced by a level attitude at the setpoint's height."""
        return self.state is State.LEVEL_OUT

    def request_arming(self, arm: bool) -> bool:
        """Arm or disarm; return whether the request was granted."""
        if arm and not self.armed and self.state is not State.CHECKS_PASSED:
            return False
        self.armed = arm
        return True

    def request_recovery(self) -> bool:
        """Recover from a crash; return whether it was granted."""
        if self.crashed and self.tumbled:
            return False
        self.crashed = False
        return True

    def emergency_stop(self) -> None:
        """Stop the motors for good."""
        self.emergency_requested = True

    def keep_alive(self, now_s: float) -> None:
        """Feed the emergency-stop watchdog; the first call arms it."""
        self._watchdog_s = now_s

    def update(self, now_s: float, conditions: Conditions) -> State:
        """Advance to now_s and return the state."""
        if conditions.thrust and self.can_fly:
            self._thrust_s = now_s
        self.tumbled = self._is_tumbled(now_s, conditions)
        before = self.state
        self.state = self._next(now_s, conditions)
        if self.state is not before:
            self._entered(now_s)
        if self.state is State.CHECKS_PASSED and self.auto_arm:
            self.armed = True
        return self.state

    def info(self) -> Info:
        """Return the info bits that concern the supervisor (not the high-level commander)."""
        flags = Info(0)
        for flag, is_set in (
            (Info.CAN_BE_ARMED, self.state is State.CHECKS_PASSED),
            (Info.IS_ARMED, self.armed),
            (Info.AUTO_ARM, self.auto_arm),
            (Info.CAN_FLY, self.can_fly),
            (Info.IS_FLYING, self.is_flying),
            (Info.IS_TUMBLED, self.tumbled),
            (Info.IS_LOCKED, self.state is State.LOCKED),
            (Info.IS_CRASHED, self.crashed),
        ):
            if is_set:
                flags |= flag
        return flags

    def _next(self, now_s: float, conditions: Conditions) -> State:
        state = self.state
        flying = now_s - self._thrust_s < FLYING_HYSTERESIS_S
        if state is State.LOCKED:
            return state
        if state is not State.LANDED and self._emergency(now_s):
            return State.LOCKED
        if state is State.CHECKS_NOT_PASSED:
            return state if self.tumbled else State.CHECKS_PASSED
        if state is State.CHECKS_PASSED:
            if self.tumbled:
                return State.CHECKS_NOT_PASSED
            return State.READY if self.armed else state
        if state is State.READY:
            if self.tumbled or not self.armed or now_s - self._ready_s > PREFLIGHT_TIMEOUT_S:
                return State.CHECKS_NOT_PASSED
            return State.FLYING if flying else state
        if state is State.CRASHED:
            return state if self.crashed or self.tumbled else State.CHECKS_NOT_PASSED
        if state is State.LANDED:
            if not self.armed or now_s - self._landed_s > LANDING_TIMEOUT_S:
                return State.CHECKS_NOT_PASSED
            return State.FLYING if flying else state
        return self._next_in_flight(conditions, flying)

    def _next_in_flight(self, conditions: Conditions, flying: bool) -> State:
        if conditions.setpoint_age_s > WATCHDOG_TIMEOUT_S:
            return State.LOCKED
        if self.tumbled:
            # Tumbling while levelling out is read as free fall, which locks at once.
            return State.CRASHED if self.state is State.FLYING else State.LOCKED
        if self.state is State.LEVEL_OUT:
            return State.FLYING if conditions.setpoint_age_s <= WATCHDOG_WARNING_S else self.state
        if not self.armed:
            return State.CHECKS_NOT_PASSED
        if conditions.setpoint_age_s > WATCHDOG_WARNING_S:
            return State.LEVEL_OUT
        return State.FLYING if flying else State.LANDED

    def _entered(self, now_s: float) -> None:
        if self.state is State.READY:
            self._ready_s = now_s
        elif self.state is State.LANDED:
            self._landed_s = now_s
        elif self.state is State.CRASHED:
            self.crashed = True
        if not self.can_fly:
            self.armed = False
            self._thrust_s = -math.inf

    def _emergency(self, now_s: float) -> bool:
        starved = self._watchdog_s is not None and now_s - self._watchdog_s > EMERGENCY_WATCHDOG_S
        return self.emergency_requested or starved

    def _is_tumbled(self, now_s: float, conditions: Conditions) -> bool:
        if conditions.contact:
            return True
        free_fall = all(abs(value) < FREE_FALL_ACC for value in conditions.acc)
        if free_fall or conditions.acc[2] >= TILT_ACC_Z:
            self._tumble_s = None
            return False
        if self._tumble_s is None:
            self._tumble_s = now_s
        duration = now_s - self._tumble_s
        upside_down = conditions.acc[2] < UPSIDE_DOWN_ACC_Z and duration > UPSIDE_DOWN_TIME_S
        return upside_down or duration > TILT_TIME_S
