# SPDX-License-Identifier: GPL-3.0-or-later
"""What the driver does by itself in flight: hover when commands stop, then land; land on low battery. No ROS.

`FlightPhases.update` is called at a fixed rate with the newest facts and answers with an order; the owner
executes it. All times are arguments, so tests turn the clock as they like.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LAND_AGAIN_S = 2.0


class Phase(Enum):
    """Phases of a flight as the driver sees it."""

    GROUND = "ground"
    TAKING_OFF = "taking off"
    ACTIVE = "active"
    HOLDING = "holding"
    LANDING = "landing"


class Order(Enum):
    """What the owner has to do now."""

    NOTHING = "nothing"
    HOVER = "hover"
    LAND = "land"
    DISARM = "disarm"


@dataclass(frozen=True)
class Timeouts:
    """When the driver steps in.

    Attributes:
        command_s: after the last low-level command it hovers.
        hover_s: after so long in hover it lands.
        state_s: older states are stale.
        battery_low_v: it lands after `battery_s` below this voltage.
        landed_height: m, below which a landing is complete.
    """

    command_s: float = 0.15  # with braking, still within half a second
    hover_s: float = 2.0
    state_s: float = 0.3
    battery_low_v: float = 3.2
    battery_s: float = 0.5
    landed_height: float = 0.1


@dataclass(frozen=True)
class Facts:
    """Newest knowledge about the drone. battery_v and height may be NaN before the first state."""

    state_age_s: float
    can_fly: bool
    height: float
    battery_v: float
    outside: bool


class FlightPhases:
    """State machine of one flight.

    Attributes:
        phase: where the flight is.
        fault: short name of what made the driver step in, empty if nothing did.
        landings: counts landings that began and flights that ended.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self.phase = Phase.GROUND
        self.fault = ""
        self.landings = 0
        self._until_s = 0.0
        self._command_s: float | None = None
        self._battery_since_s: float | None = None
        self._stale_since_s: float | None = None

    @property
    def in_flight(self) -> bool:
        """The drone is off the ground as far as the driver knows."""
        return self.phase is not Phase.GROUND

    @property
    def until_s(self) -> float:
        """When the motion that was sent last will be over; of a hover, when it began."""
        return self._until_s

    @property
    def takes_commands(self) -> bool:
        """A low-level command would be executed now."""
        return self.phase is Phase.ACTIVE or (
            self.phase is Phase.HOLDING and self.fault in ("command_timeout", "state_stale")
        )

    def took_off(self, now_s: float, duration_s: float) -> None:
        """A take-off was sent."""
        self.phase, self.fault = Phase.TAKING_OFF, ""
        self._until_s, self._command_s = now_s + duration_s, None

    def adopted(self, now_s: float) -> None:
        """The drone was found in flight: hover and wait for commands, as after a command time-out."""
        self._hold(now_s, "command_timeout")

    def commanded(self, now_s: float) -> None:
        """A low-level command was sent."""
        self.phase, self._command_s = Phase.ACTIVE, now_s
        self.fault = ""

    def handed_over(self) -> None:
        """The firmware's high-level commander flies now and holds by itself."""
        if self.phase in (Phase.ACTIVE, Phase.HOLDING):
            self.phase, self.fault = Phase.ACTIVE, ""
        self._command_s = None

    def landing(self, now_s: float, duration_s: float) -> None:
        """A landing was sent."""
        self.phase, self._until_s = Phase.LANDING, now_s + duration_s
        self.landings += 1

    def grounded(self) -> None:
        """The motors are off."""
        self.phase, self._command_s, self._battery_since_s = Phase.GROUND, None, None
        self.landings += 1

    def update(self, now_s: float, facts: Facts) -> Order:
        """Return what to do now."""
        stale = facts.state_age_s > self.timeouts.state_s
        if self.phase is Phase.GROUND:
            self.fault = "" if self.fault == "state_stale" and not stale else self.fault
            return Order.NOTHING
        if not stale and not facts.can_fly:
            self.grounded()
            return Order.NOTHING
        if self.phase is Phase.LANDING:
            # Without a height (state lost) the time alone decides, with a second to spare.
            down = facts.height < self.timeouts.landed_height if not stale else now_s > self._until_s + 1.0
            if not down and not stale and now_s > self._until_s + LAND_AGAIN_S:
                return Order.LAND  # the command was lost
            return Order.DISARM if down and now_s >= self._until_s else Order.NOTHING
        if self._battery_low(now_s, facts):
            self.fault = "low_battery"
            return Order.LAND
        if self.phase is Phase.TAKING_OFF and now_s >= self._until_s:
            self.phase = Phase.ACTIVE
        if facts.outside and not stale and self.fault != "geofence":
            self._hold(now_s, "geofence")
        elif stale and self._command_s is not None and self.phase is not Phase.HOLDING:
            self._hold(now_s, "state_stale")
        elif self.phase is Phase.ACTIVE and self._command_age_s(now_s) > self.timeouts.command_s:
            self._hold(now_s, "command_timeout")
        if self.phase is not Phase.HOLDING:
            # The high-level commander flies and needs nobody: leave it alone unless the state stays away.
            return Order.LAND if self._stale_for_s(now_s, stale) > self.timeouts.hover_s else Order.NOTHING
        return Order.LAND if now_s - self._until_s > self.timeouts.hover_s else Order.HOVER

    def _command_age_s(self, now_s: float) -> float:
        """Age of the newest low-level command, 0 while the high-level commander holds the drone."""
        return 0.0 if self._command_s is None else now_s - self._command_s

    def _hold(self, now_s: float, fault: str) -> None:
        self.phase, self.fault, self._until_s = Phase.HOLDING, fault, now_s

    def _stale_for_s(self, now_s: float, stale: bool) -> float:
        """Return for how long the state has been stale, and keep the fault in step with it."""
        if not stale:
            self._stale_since_s = None
            self.fault = "" if self.fault == "state_stale" else self.fault
            return 0.0
        self.fault = "state_stale"
        if self._stale_since_s is None:
            self._stale_since_s = now_s
        return now_s - self._stale_since_s

    def _battery_low(self, now_s: float, facts: Facts) -> bool:
        if not facts.battery_v < self.timeouts.battery_low_v:
            self._battery_since_s = None
            return False
        if self._battery_since_s is None:
            self._battery_since_s = now_s
        return now_s - self._battery_since_s >= self.timeouts.battery_s
