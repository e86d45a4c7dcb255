# SPDX-License-Identifier: GPL-3.0-or-later
"""Low-level motion commands of the driver without ROS: what is sent of them, and when none are taken."""

from __future__ import annotations

from typing import Any

from kdp_crazyflie_bringup.drone_state import DroneState
from kdp_crazyflie_bringup.firmware_supervisor import Info
from kdp_crazyflie_bringup.flight_phase import FlightPhases, Timeouts
from kdp_crazyflie_bringup.motion import Carrot, wrap_angle
from kdp_crazyflie_bringup.safety import (
    CommandRefused,
    Limits,
    VelocityGuard,
    check_position,
    limit_hover,
    require_finite,
    require_fresh,
)
from kdp_crazyflie_bringup.stream_gate import PAUSE_S, StreamGate

Vector = tuple[float, float, float]


class NotFlying(CommandRefused):
    """A motion command came while the drone does not take any; not counted as a refused command."""


class MotionCommands:
    """Sends velocity, hover and position commands within the limits; the base of `FlightControl`.

    Args:
        link: a `CrazyflieLink`.
    """

    def __init__(self, link: Any, limits: Limits, timeouts: Timeouts) -> None:
        self.link, self.limits = link, limits
        self.guard = VelocityGuard(limits)
        self.phases = FlightPhases(timeouts)
        self.carrot = Carrot(self.guard)
        self._gate = StreamGate()
        self.refused = self.limited = 0
        self.command_s: float | None = None

    # ---- state

    def fresh_state(self) -> DroneState | None:
        """Return the newest state unless it is stale or the link is gone."""
        if not self.link.connected or self.link.state_age_s() > self.phases.timeouts.state_s:
            return None
        return self.link.state

    def in_flight(self) -> bool:
        """The drone is off the ground as far as this driver or the firmware's supervisor knows."""
        state = self.fresh_state()
        return self.phases.in_flight or (state is not None and Info.IS_FLYING in state.info)

    def can_move(self, now_s: float) -> bool:
        """A motion command that came now would be executed."""
        ready = self.phases.takes_commands and self.fresh_state() is not None
        return ready and self._gate.admits(now_s, self.phases.landings)

    # ---- commands; each returns the CRC-32 of the setpoint that was sent

    def velocity(self, velocity: Vector, yaw_rate: float, age_s: float | None, now_s: float) -> int:
        """Send a velocity command (m/s, world; rad/s). Raises CommandRefused."""
        state = self._ready((*velocity, yaw_rate), age_s, now_s)
        self.carrot.drop()
        result = self.guard.apply(velocity, yaw_rate, state.position, now_s)
        self.limited += result.limited
        return self._commanded(self.link.send_velocity_world(*result.values), now_s)

    def hover(
        self, velocity: tuple[float, float], yaw_rate: float, z: float, age_s: float | None, now_s: float
    ) -> int:
        """Send a hover command (m/s, body; rad/s; m). Raises CommandRefused."""
        state = self._ready((*velocity, yaw_rate, z), age_s, now_s)
        self.carrot.drop()
        result = limit_hover(velocity, yaw_rate, z, state.yaw, state.position, self.guard, now_s)
        self.limited += result.limited
        return self._commanded(self.link.send_hover(*result.values), now_s)

    def position(self, goal: Vector, yaw: float, age_s: float | None, now_s: float) -> int:
        """Send the next setpoint on the way to a position (m, rad). Raises CommandRefused."""
        state = self._ready((*goal, yaw), age_s, now_s)
        try:
            check_position(goal, yaw, self.limits)
        except CommandRefused:
            self.refused += 1
            raise
        setpoint, limited = self.carrot.move(goal, state.position, now_s)
        self.limited += limited
        return self._commanded(self.link.send_position(*setpoint, wrap_angle(yaw)), now_s)

    def restart(self) -> None:
        """Forget the commands before: the firmware or the driver itself moves the drone."""
        self.guard.restart()
        self.carrot.drop()

    def _ready(self, values: tuple[float, ...], age_s: float | None, now_s: float) -> DroneState:
        new_stream = self._gate.arrived(now_s, self.phases.landings)
        try:
            require_finite(values)
            require_fresh(age_s, self.limits)
        except CommandRefused:
            self.refused += 1
            raise
        state = self.fresh_state()
        if state is None:
            raise NotFlying(self._no_state())
        if not self.phases.takes_commands:
            raise NotFlying(f"no commands are taken: {self.phases.fault or self.phases.phase.value}")
        if not new_stream:
            raise NotFlying(f"these commands began before the landing: pause for {PAUSE_S:g} s")
        return state

    def _commanded(self, crc: int, now_s: float) -> int:
        if crc == 0:
            raise NotFlying("the command could not be sent")
        self.command_s = now_s
        self.phases.commanded(now_s)
        return crc

    def _no_state(self) -> str:
        return "no fresh state from the Crazyflie" if self.link.connected else "no link to the Crazyflie"
