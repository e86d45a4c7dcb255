# SPDX-License-Identifier: GPL-3.0-or-later
"""Battery and power management of the simulated firmware."""

from __future__ import annotations

from enum import IntEnum

FULL_V = 4.2
EMPTY_V = 3.0
SAG_V = 0.25
HOVER_S = 420.0
LOW_V, CRITICAL_V = 3.2, 3.0
ALARM_S = 5.0


class PowerState(IntEnum):
    """Values of ``pm.state``."""

    BATTERY = 0
    CHARGING = 1
    CHARGED = 2
    LOW_POWER = 3
    SHUT_DOWN = 4


class Battery:
    """One cell with a linear open-circuit voltage, drained by flying and sagging under load.

    Below LOW_V for ALARM_S the state is LOW_POWER; below CRITICAL_V for ALARM_S it shuts down.
    """

    def __init__(self, open_circuit_v: float = 4.1) -> None:
        self.open_circuit_v = open_circuit_v
        self.load = 0.0
        self.state = PowerState.BATTERY
        self._low_s = 0.0
        self._critical_s = 0.0

    @property
    def volts(self) -> float:
        """Measured voltage under the present load."""
        return self.open_circuit_v - SAG_V * self.load

    @property
    def level(self) -> float:
        """Charge in percent."""
        return 100.0 * min(max((self.open_circuit_v - EMPTY_V) / (FULL_V - EMPTY_V), 0.0), 1.0)

    def set_volts(self, volts: float) -> None:
        """Make the measured voltage equal to volts at the present load."""
        self.open_circuit_v = volts + SAG_V * self.load

    def step(self, dt_s: float, flying: bool) -> None:
        """Advance by dt_s; the load follows the motors with a time constant of 0.2 s."""
        self.load += ((1.0 if flying else 0.0) - self.load) * min(dt_s / 0.2, 1.0)
        self.open_circuit_v -= self.load * dt_s * (FULL_V - EMPTY_V) / HOVER_S
        self._low_s = self._low_s + dt_s if self.volts < LOW_V else 0.0
        self._critical_s = self._critical_s + dt_s if self.volts < CRITICAL_V else 0.0
        if self._critical_s > ALARM_S:
            self.state = PowerState.SHUT_DOWN
        elif self.state is not PowerState.SHUT_DOWN:
            self.state = PowerState.LOW_POWER if self._low_s > ALARM_S else PowerState.BATTERY
