"""How an STS3215 protects itself: overload, over-current, heat, voltage.

From Feetech's memory table: bits of the status byte (section 3.2); `UNLOADING` (19) says with the same bits
which faults act on the motor; overload trips after `PROTECTION_TIME` (35, 10 ms each) above
`OVERLOAD_TORQUE` (36, %) and leaves `PROTECTIVE_TORQUE` (34, %); over-current trips after `OVER_CURRENT_TIME`
(38, 10 ms) above `PROTECTION_CURRENT` (28, 6.5 mA) and switches the motor off. How each ends is not written
down there, and is a choice made here: overload by a goal on the other side or by writing torque enable,
over-current by writing torque enable, heat and voltage by themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from kdp_so100_bringup.feetech_protocol import Error
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.servo_memory import ServoMemory

STALL_CURRENT_UNITS = 415
"""Current at stall in units of 6.5 mA: 2.7 A, data sheet of the 12 V version."""


class Limits(NamedTuple):
    """Settings of the protection: shares of the stall torque, seconds, V, degrees C."""

    acting: int
    overload: float
    overload_s: float
    current: float
    current_s: float
    volts: tuple[float, float]
    celsius: float

    @classmethod
    def from_memory(cls, memory: ServoMemory) -> Limits:
        """Read them from the registers."""
        get = memory.get
        return cls(
            acting=get(Register.UNLOADING),
            overload=get(Register.OVERLOAD_TORQUE) / 100,
            overload_s=get(Register.PROTECTION_TIME) / 100,
            current=get(Register.PROTECTION_CURRENT) / STALL_CURRENT_UNITS,
            current_s=get(Register.OVER_CURRENT_TIME) / 100,
            volts=(get(Register.MIN_VOLTAGE) / 10, get(Register.MAX_VOLTAGE) / 10),
            celsius=get(Register.MAX_TEMPERATURE),
        )


class Protection:
    """Faults of one servo.

    Attributes:
        status: error byte.
        off: the motor gets no current.
        overload: the motor gets the protective torque only.
    """

    def __init__(self) -> None:
        self.status = 0
        self.off = self.overload = False
        self._over_current = False
        self._overload_s = self._over_current_s = 0.0
        self._load = 0.0

    def reset(self) -> None:
        """Torque enable was written: what is latched ends."""
        self.overload = self._over_current = self.off = False
        self._overload_s = self._over_current_s = 0.0

    def new_goal(self, distance: float) -> None:
        """A goal came, `distance` ticks away: to the other side it ends an overload."""
        if self.overload and distance * self._load < 0:
            self.overload, self._overload_s = False, 0.0

    def update(self, dt_s: float, torque: float, volts: float, celsius: float, limits: Limits) -> None:
        """Look at the servo for `dt_s`; `torque` is a share of the stall torque, -1 to 1."""
        share = abs(torque)
        self._overload_s = self._overload_s + dt_s if share > limits.overload else 0.0
        if self._overload_s > limits.overload_s and not self.overload:
            self.overload, self._load = True, torque
        self._over_current_s = self._over_current_s + dt_s if share > limits.current else 0.0
        if self._over_current_s > limits.current_s:
            self._over_current = True
        status = Error.OVERLOAD.value if self.overload else 0
        if self._over_current:
            status |= Error.CURRENT.value
        if not limits.volts[0] <= volts <= limits.volts[1]:
            status |= Error.VOLTAGE.value
        if celsius > limits.celsius:
            status |= Error.TEMPERATURE.value
        self.status = status
        self.off = bool(limits.acting & status & ~Error.OVERLOAD.value)

    def torque_limit(self, set_limit: float, protective: float, limits: Limits) -> float:
        """Return the largest torque that is allowed now, as a share of the stall torque."""
        acts = self.overload and limits.acting & Error.OVERLOAD.value
        return min(set_limit, protective) if acts else set_limit
