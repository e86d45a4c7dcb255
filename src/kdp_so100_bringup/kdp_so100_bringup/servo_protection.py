"""How an STS3215 protects itself: overload, over-current, heat, voltage.

From Feetech's memory table: bits of the status byte (section 3.2); `UNLOADING` (19) says with the same bits
which faults act on the motor; overload trips after `PROTECTION_TIME` (35, 10 ms each) above
`OVERLOAD_TORQUE` (36, %) and leaves `PROTECTIVE_TORQUE` (34, %); over-current trips after `OVER_CURRENT_TIME`
(38, 10 ms) above `PROTECTION_CURRENT` (28, 6.5 mA) and switches the motor off. How each ends is not written
down there, and is a choice made here: overload by a goal on the other side or by writing torque enable,
over-current by writing torque enable, heat and voltage by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from kdp_so100_bringup.feetech_protocol import Error
from kdp_so100_bringup.registers import Register

STALL_CURRENT_UNITS = 415
"""Current at stall in units of 6.5 mA: 2.7 A, data sheet of the 12 V version."""


class Protection:
    """Faults of one servo.

    Attributes:
        off: the motor gets no current.
        overload: the motor gets the protective torque only.
    """

    def __init__(self) -> None:
        self.off = self.overload = False
        self._over_current = False
        self._overload_s = self._over_current_s = 0.0
        self._load_sign = 0.0

    def reset(self) -> None:
        """Torque enable was written: what is latched ends."""
        self.overload = self._over_current = False
        self._overload_s = self._over_current_s = 0.0

    def new_goal(self, distance: float) -> None:
        """A goal came, `distance` ticks away: to the other side it ends an overload."""
        if self.overload and distance * self._load_sign < 0:
            self.overload, self._overload_s = False, 0.0

    def update(self, dt_s: float, torque: float, get: Callable[[Register], int]) -> Error:
        """Look at the servo for `dt_s`.

        Args:
            dt_s: since the last call.
            torque: share of the stall torque, -1 to 1.
            get: reads a register.

        Returns:
            the error byte.
        """
        acting = get(Register.UNLOADING)
        over = abs(torque) * 100 > get(Register.OVERLOAD_TORQUE)
        self._overload_s = self._overload_s + dt_s if over else 0.0
        if self._overload_s > get(Register.PROTECTION_TIME) * 0.01 and not self.overload:
            self.overload, self._load_sign = True, torque
        over = abs(torque) * STALL_CURRENT_UNITS > get(Register.PROTECTION_CURRENT)
        self._over_current_s = self._over_current_s + dt_s if over else 0.0
        if self._over_current_s > get(Register.OVER_CURRENT_TIME) * 0.01:
            self._over_current = True
        voltage = get(Register.PRESENT_VOLTAGE)
        status = Error(0)
        if not get(Register.MIN_VOLTAGE) <= voltage <= get(Register.MAX_VOLTAGE):
            status |= Error.VOLTAGE
        if get(Register.PRESENT_TEMPERATURE) > get(Register.MAX_TEMPERATURE):
            status |= Error.TEMPERATURE
        if self._over_current:
            status |= Error.CURRENT
        if self.overload:
            status |= Error.OVERLOAD
        self.off = bool(acting & status & ~Error.OVERLOAD)
        if not acting & Error.OVERLOAD:
            self.overload = False
        return status
