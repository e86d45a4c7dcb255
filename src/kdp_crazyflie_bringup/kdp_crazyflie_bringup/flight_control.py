# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver without ROS: what services and commands do to the drone, and what the driver does by itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from kdp_crazyflie_bringup.firmware_supervisor import Info
from kdp_crazyflie_bringup.flight_phase import Facts, Order, Phase, Timeouts
from kdp_crazyflie_bringup.high_level_sender import HighLevelSender
from kdp_crazyflie_bringup.motion import check_landing, motion_time, wrap_angle
from kdp_crazyflie_bringup.motion_commands import MotionCommands, Vector
from kdp_crazyflie_bringup.safety import CommandRefused, Limits, check_position, outside_fence

ARMED_WAIT_S = 0.3
LAND_MARGIN_S = 3.5  # after the time of a landing, until it is given up
LINK_TIMEOUT_S = 2.0  # without state for so long the link is given up and opened again

Answer = tuple[bool, str]


class FlightControl(MotionCommands):
    """Executes commands within the limits and watches over the flight.

    Args:
        link: a `CrazyflieLink`.
        report: called with (level, text), as the link's.
    """

    def __init__(
        self, link: Any, limits: Limits, timeouts: Timeouts, report: Callable[[str, str], None]
    ) -> None:
        super().__init__(link, limits, timeouts)
        self._report = report
        self._high_level = HighLevelSender(link, report)
        self._hold_height = 1.0
        self._emergency = False

    # ---- state

    def fault(self) -> str:
        """Return the short name of what is wrong, empty if nothing is."""
        if not self.link.connected:
            return self.link.fault
        if self.link.state_age_s() > self.phases.timeouts.state_s:
            return "state_stale"
        info = self.link.state.info
        if Info.IS_LOCKED in info:
            return "locked"
        if Info.IS_CRASHED in info:
            return "crashed"
        return self.phases.fault

    # ---- services; each answers (success, message)

    def arm(self, arm: bool) -> Answer:
        """Arm or disarm, and wait until the state says so."""
        state = self.fresh_state()
        if state is None:
            return False, self._no_state()
        if arm and Info.IS_ARMED in state.info:
            return True, "was armed"
        if not arm and self.in_flight():
            return False, "in flight: land first, or use the emergency service"
        if arm:
            self.link.notify_setpoints_stop()  # a setpoint left over from before must not start the motors
        done, why = self.link.arm(arm)
        if not done:
            return False, why
        deadline = time.monotonic() + ARMED_WAIT_S
        while time.monotonic() < deadline:
            if (Info.CAN_FLY in self.link.state.info) == arm:
                return True, "armed" if arm else "disarmed"
            time.sleep(0.005)
        return False, "the Crazyflie accepted, but its state did not follow"

    def takeoff(self, height: float, duration_s: float, now_s: float) -> Answer:
        """Take off to a height (m, world) in duration_s or as slowly as the limits want."""
        state = self.fresh_state()
        if state is None:
            return False, self._no_state()
        if Info.CAN_FLY not in state.info:
            return False, "not armed"
        if self.in_flight():
            return False, f"already {self.phases.phase.value if self.phases.in_flight else 'flying'}"
        if state.battery_v < self.phases.timeouts.battery_low_v:
            return False, f"battery is low: {state.battery_v:.2f} V"
        if not self.limits.min_height <= height <= self.limits.fence_max[2]:
            return False, f"height must be {self.limits.min_height:g} to {self.limits.fence_max[2]:g} m"
        x, y, _ = state.position
        try:
            duration = motion_time(state.position, (x, y, height), duration_s, self.limits)
        except CommandRefused as refusal:
            return False, str(refusal)
        self.link.notify_setpoints_stop()
        self._high_level.send(lambda commander: commander.takeoff(height, duration, yaw=None), now_s)
        self.phases.took_off(now_s, duration)
        self.restart()
        return True, f"taking off to {height:g} m in {duration:.1f} s"

    def land(self, duration_s: float, now_s: float, height: float = 0.0) -> Answer:
        """Land in duration_s or as slowly as the limits want, and disarm. On the ground: disarm."""
        if not self.link.connected:
            return False, self._no_state()
        if not self.in_flight():
            return self.arm(False)
        x, y, z = self.link.state.position
        try:
            check_landing(height, z)
            duration = motion_time((x, y, z), (x, y, height), max(duration_s, 1.5), self.limits)
        except CommandRefused as refusal:
            return False, str(refusal)
        self._high_level.send(lambda commander: commander.land(height, duration, yaw=None), now_s)
        self.phases.landing(now_s, duration)
        return True, f"landing in {duration:.1f} s"

    def go_to(self, goal: Vector, yaw: float, relative: bool, duration_s: float, now_s: float) -> Answer:
        """Fly a smooth motion to goal (m, world) by the firmware's high-level commander."""
        state = self.fresh_state()
        if state is None:
            return False, self._no_state()
        if self.phases.phase not in (Phase.ACTIVE, Phase.HOLDING):
            return False, f"cannot go anywhere while {self.phases.phase.value}"
        x, y, z = (a + b for a, b in zip(goal, state.position, strict=True)) if relative else goal
        yaw = yaw + state.yaw if relative else yaw
        try:
            check_position((x, y, z), yaw, self.limits)
            duration = motion_time(state.position, (x, y, z), duration_s, self.limits)
        except CommandRefused as refusal:
            return False, str(refusal)
        yaw = wrap_angle(yaw)
        self._high_level.send(lambda commander: commander.go_to(x, y, z, yaw, duration), now_s)
        self.phases.handed_over()
        self.restart()
        return True, f"going there in {duration:.1f} s"

    def notify_setpoints_stop(self, now_s: float) -> Answer:
        """Hand over from low-level setpoints; in flight the high-level commander holds the position."""
        if not self.link.connected:
            return False, self._no_state()
        if self.phases.phase in (Phase.ACTIVE, Phase.HOLDING):
            self._high_level.send(lambda commander: commander.go_to(0, 0, 0, 0, 0.5, relative=True), now_s)
            self.phases.handed_over()
            self.restart()
            return True, "the high-level commander holds the position"
        self.link.notify_setpoints_stop()
        return True, ""

    def emergency(self) -> Answer:
        """Stop the motors for good; repeated until the state confirms it."""
        self._high_level.forget()
        self._emergency = True
        if not self.link.emergency_stop():
            return False, self._no_state()
        if self.fresh_state() is None:
            return False, "sent, but there is no fresh state to confirm it; it is repeated until there is"
        return True, "motors stopped; the Crazyflie must be rebooted"

    # ---- own motion

    def come_down(self, clock: Callable[[], float], wait: Callable[[], None]) -> bool:
        """Land and wait until the motors are off; returns whether they are.

        Args:
            clock: s, monotonic. wait: pauses between two updates.
        """
        if self.fresh_state() is None:
            return False
        self.land(0.0, clock())
        deadline = self.phases.until_s + LAND_MARGIN_S
        while self.in_flight() and clock() < deadline:
            self.update(clock())
            wait()
        return not self.in_flight()

    def update(self, now_s: float) -> None:
        """Do what is due; to be called at 20 Hz or faster."""
        self._high_level.poll(now_s)
        state = self.link.state
        if state is None:
            return
        if self.link.connected and self.link.state_age_s() > LINK_TIMEOUT_S:
            self.link.declare_lost()
        if self._emergency:
            self._emergency = Info.IS_LOCKED not in state.info
            self.link.emergency_stop()
        fence = outside_fence(state.position, self.limits, self.limits.fence_margin)
        facts = Facts(
            state_age_s=self.link.state_age_s() if self.link.connected else math.inf,
            can_fly=Info.CAN_FLY in state.info,
            height=state.position[2],
            battery_v=state.battery_v,
            outside=fence,
        )
        before = self.phases.phase
        if before is Phase.GROUND and not self._emergency and self.in_flight():
            self._adopt(state.position[2], now_s)
        order = self.phases.update(now_s, facts)
        if self.phases.phase is not before and self.phases.phase is Phase.HOLDING:
            self._hold_height = min(max(state.position[2], self.limits.min_height), self.limits.fence_max[2])
            self._high_level.forget()
            self.restart()
            self._report("error", f"{self.phases.fault}: hovering, then landing")
        if order is Order.HOVER:
            self.link.send_hover(0.0, 0.0, 0.0, self._hold_height)
        elif order is Order.LAND and self.link.connected:  # without a link: as soon as it is back
            _, message = self.land(0.0, now_s)
            self._report("error", f"{self.phases.fault}: {message}")
        elif order is Order.DISARM:
            self.link.arm(False, timeout_s=0.0)

    def _adopt(self, height: float, now_s: float) -> None:
        """Take over a drone that flies already: this driver was restarted, or somebody else took off."""
        self._report("error", f"found the drone in flight at {height:.2f} m: taking over")
        if height < self.limits.min_height:  # it may have touched down just now: do not climb again
            self.land(0.0, now_s)
        else:
            self.phases.adopted(now_s)

    def _commanded(self, crc: int, now_s: float) -> int:
        super()._commanded(crc, now_s)
        self._high_level.forget()
        return crc
