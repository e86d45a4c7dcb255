"""The driver without ROS: what services and commands do to the arm, and what the driver does by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.arm_link import ArmState
from kdp_so100_bringup.arm_phase import ArmPhases, Order, Phase, Timeouts
from kdp_so100_bringup.safety import (
    CommandGuard,
    CommandRefused,
    GuardLimits,
    Limits,
    ServoGuard,
    require_command,
    require_fresh,
)
from kdp_so100_bringup.trajectory import Trajectory

NEAR_REST_RAD = 0.06
NEAR_RAD = 0.5
REST_SLACK_S = 2.0  # after the ramp has ended, so long the arm may take to be there
OFF_EVERY_S = 0.5  # a servo that does not answer costs a third of a second
BLOCKED = ("link_lost", "state_stale", "servo_silent", "checksum_errors", "calibration_mismatch")

Answer = tuple[bool, str]


class NotReady(CommandRefused):
    """A motion command came while the arm does not take any; not counted as a refused command."""


class Sent(NamedTuple):
    """A command that went out: CRC-32 of its bytes, monotonic ns when they had been written."""

    crc: int
    sent_ns: int


class ArmControl:
    """Executes commands within the limits and watches over the arm; all calls from one thread.

    Args:
        link: an `ArmLink`.
        rest: (6) rad, where the arm can be without torque.
        rest_speed: of the way there, rad/s.
        report: called with (level, text).
    """

    def __init__(
        self,
        link: Any,
        limits: Limits,
        timeouts: Timeouts,
        guards: GuardLimits,
        rest: Sequence[float],
        rest_speed: float,
        report: Callable[[str, str], None],
    ) -> None:
        self.link, self.rest, self.rest_speed, self._report = link, tuple(rest), rest_speed, report
        self.guard = CommandGuard(limits)
        self.phases = ArmPhases(timeouts)
        self.servos = ServoGuard(guards)
        self.refused = self.limited = 0
        self.command_s: float | None = None
        self._trajectory: Trajectory | None = None
        self._target: tuple[float, ...] | None = None
        self._lower_until_s = 0.0
        self._last_s = self._off_again_s = 0.0
        self._blocked = True  # until the first connection
        self._lost = ""  # joints whose servos hold no more, until somebody switches the torque
        self._stop_for_lost = False

    # ---- state

    def fresh_state(self) -> ArmState | None:
        """Return the newest state unless it is stale or the link is gone."""
        if not self.link.connected or self.link.state_age_s() > self.phases.timeouts.state_s:
            return None
        return self.link.state

    def fault(self) -> tuple[str, str]:
        """Return short name and details of what is wrong, both empty if nothing is."""
        if self.link.off_wanted:
            return "torque_not_off", self.link.detail
        if self.link.fault:
            return self.link.fault, self.link.detail
        if self.link.connected and self.link.state_age_s() > self.phases.timeouts.state_s:
            return "state_stale", "the bus is open, but no state was read"
        servo = self._servo_fault()
        if servo:
            return servo, self.servos.detail
        return ("torque_lost", self._lost) if self._lost else (self.phases.fault, "")

    @property
    def can_move(self) -> bool:
        """Whether a command sent now would be executed."""
        return self.phases.takes_commands and self.fresh_state() is not None and not self.fault_blocks()

    def fault_blocks(self) -> bool:
        """Whether something is wrong that no command may overrule."""
        return self.fault()[0] not in ("", "command_timeout")

    # ---- services; each answers (success, message)

    def torque(self, on: bool) -> Answer:
        """Switch the torque on (holding where the arm is) or off at once; ends `torque_lost`."""
        if on and (self.fresh_state() is None or (self.fault_blocks() and self.fault()[0] != "torque_lost")):
            return False, self._why_not()
        done, why = self._switch(on)
        if done or not on:
            self._lost, self._stop_for_lost = "", False
        return done, why

    def _switch(self, on: bool) -> Answer:
        done, why = self.link.torque(on)
        if on and not done:
            return False, why
        self._forget()
        self.phases.torque(on)  # off even if not confirmed: no command moves it any more
        if not done:
            return False, f"{why}; repeated until every servo has confirmed that its torque is off"
        return True, "holding" if on else "torque off"

    def go_to_rest(self, now_s: float) -> Answer:
        """Lower the arm slowly to its rest pose, then switch the torque off."""
        state = self.fresh_state()
        if state is None:
            return False, self._why_not()
        if not self.phases.powered:
            fault = self.link.off_wanted or self._lost
            return (False, self._why_not()) if fault else (True, "torque was off")
        start = state.joints
        if self._target and max(abs(a - b) for a, b in zip(self._target, start, strict=True)) < NEAR_RAD:
            start = self._target  # with the lead over gravity that it has now
        way = max(abs(a - b) for a, b in zip(start, self.rest, strict=True))
        self._forget()
        self._target = tuple(start)
        self._lower_until_s = now_s + way / self.rest_speed + REST_SLACK_S
        self._last_s = now_s
        self.phases.lowering()
        return True, f"lowering in {way / self.rest_speed:.1f} s"

    # ---- commands

    def command(self, targets: Sequence[float], age_s: float | None, now_s: float) -> Sent:
        """Send joint targets (6) rad.

        Raises:
            NotReady: the arm takes no commands now. CommandRefused: this one is not executed.
        """
        state = self._ready()
        try:
            require_fresh(age_s, self.guard.limits)
            require_command(targets)
        except CommandRefused:
            self.refused += 1
            raise
        self._trajectory = None
        return self._execute(targets, state, now_s)

    def follow(self, trajectory: Trajectory) -> None:
        """Follow a trajectory from now on. Raises as `command`."""
        self._ready()
        self._trajectory = trajectory

    def refuse(self) -> None:
        """Count a command that never got as far as `command`."""
        self.refused += 1

    def _ready(self) -> ArmState:
        state = self.fresh_state()
        if state is None or not self.can_move:
            raise NotReady(self._why_not())
        return state

    def _execute(self, targets: Sequence[float], state: ArmState, now_s: float) -> Sent:
        limited = self.guard.apply(targets, state.joints, now_s)
        sent = Sent(*self.link.send(limited.targets))
        if not sent.crc:
            raise NotReady(self._why_not())
        self.limited += limited.limited
        self.phases.command(now_s)
        self.command_s, self._target = now_s, limited.targets
        return sent

    # ---- what the driver does by itself

    def update(self, now_s: float) -> None:
        """Watch over the arm; call this at 50 Hz."""
        state = self.fresh_state()
        if state is not None:
            self.servos.update(state.celsius, state.load, state.volts, now_s)
        self._watch_link(now_s)
        self._repeat_off(now_s)
        self._watch_torque()
        servo = self._servo_fault() or ("torque_lost" if self._stop_for_lost else "")
        order = self.phases.update(now_s, servo)
        if order is Order.HOLD_HERE:
            self._hold_here(state)
        elif order is Order.LOWER:
            self.go_to_rest(now_s)
        elif order is Order.TORQUE_OFF:
            self._switch(False)
        if self.phases.phase is Phase.LOWERING:
            self._lower(state, now_s)
        elif self._trajectory is not None and state is not None and self.can_move:
            self._advance(self._trajectory, state, now_s)

    def _watch_link(self, now_s: float) -> None:
        """While the bus fails the servos hold by themselves; when it is well again, see how they are."""
        blocked = not self.link.connected or self.link.fault in BLOCKED
        if blocked and not self._blocked:
            self._trajectory = None
            if self.phases.takes_commands:
                self.phases.hold(now_s, "")
        if self._blocked and not blocked:
            self._forget()
            # Lowering goes on from where the joints are.
            if self.phases.powered and self.phases.phase is not Phase.LOWERING:
                self.phases.hold(now_s, "")
        self._blocked = blocked

    def _watch_torque(self) -> None:
        """Notice servos that hold no more without having been told, as after a dip of their supply.

        They stay off: switched on by itself, a joint would catch the arm in its fall. While others hold, it
        is as with a servo in danger: hold, then stop. An arm found so keeps still until somebody decides.
        """
        on, powered = self.link.torqued, self.phases.powered
        if self._blocked or self.link.off_wanted:
            return
        if any(on) and not powered:
            self.phases.torque(True)
            self._report("info", "servos hold")
        lost = ", ".join(joint for joint, holds in zip(JOINTS, on, strict=True) if not holds)
        if not self.phases.powered or lost in ("", self._lost):
            return
        self._report("error", f"torque_lost: {lost}")
        more = set(lost.split(", ")) - set(self._lost.split(", "))
        self._stop_for_lost = self._stop_for_lost or (powered and bool(more))
        self._lost, self._trajectory = lost, None
        if not any(on):  # there is nothing to hold or to lower
            self.phases.torque(False)
            self._forget()

    def _repeat_off(self, now_s: float) -> None:
        """Switch the torque off again, where a servo has not confirmed that it did."""
        if self.link.off_wanted and now_s >= self._off_again_s:
            self._off_again_s = now_s + OFF_EVERY_S
            if self.link.torque(False)[0]:
                self._report("info", "torque off: every servo has confirmed it")

    def _hold_here(self, state: ArmState | None) -> None:
        """Hold where the joints are; the gripper keeps its target, or it would drop what it holds."""
        if state is None:
            return
        gripper = self._target[5] if self._target else state.joints[5]
        self._forget()
        self._target = (*state.joints[:5], gripper)
        self.link.send(self._target)

    def _advance(self, trajectory: Trajectory, state: ArmState, now_s: float) -> None:
        targets, done = trajectory.at(now_s)
        try:
            self._execute(targets, state, now_s)
        except CommandRefused as reason:
            self._report("error", f"trajectory stopped: {reason}")
            done = True
        if done:
            self._trajectory = None

    def _lower(self, state: ArmState | None, now_s: float) -> None:
        if state is None or (self._target is None and not self.go_to_rest(now_s)[0]):
            return
        assert self._target is not None
        step = self.rest_speed * min(now_s - self._last_s, 0.1)
        self._last_s = now_s
        self._target = tuple(
            here + math.copysign(min(abs(end - here), step), end - here)
            for here, end in zip(self._target, self.rest, strict=True)
        )
        self.link.send(self._target)
        far = max(abs(a - b) for a, b in zip(state.joints[:5], self.rest[:5], strict=True))
        if far < NEAR_REST_RAD or now_s > self._lower_until_s:
            self.phases.lowered()
            done, why = self._switch(False)
            self._report("info" if done else "error", "at rest, torque off" if done else why)

    def _servo_fault(self) -> str:
        state = self.link.state
        if self.servos.fault:
            return self.servos.fault
        return "servo_alarm" if state is not None and any(state.alarms) else ""

    def _forget(self) -> None:
        self.guard.restart()
        self._trajectory = self._target = None

    def _why_not(self) -> str:
        name, detail = self.fault()
        if name and name != "command_timeout":
            return f"{name}: {detail}" if detail else name
        if not self.link.connected:
            return "no link to the servos"
        return (
            "torque is off: call the torque service" if not self.phases.powered else self.phases.phase.value
        )
