"""What the arm is doing, and what the driver does about it by itself. No ROS, no bus, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Stop = Literal["rest", "torque_off", "hold"]
STOPS: tuple[Stop, ...] = ("rest", "torque_off", "hold")


class Phase(Enum):
    """What the arm is doing."""

    OFF = "torque off"
    READY = "holding, ready for commands"
    ACTIVE = "following commands"
    HOLDING = "holding: commands stopped"
    LOWERING = "lowering to the rest pose"


class Order(Enum):
    """What the owner must do now."""

    NONE = 0
    HOLD_HERE = 1
    LOWER = 2
    TORQUE_OFF = 3


@dataclass(frozen=True)
class Timeouts:
    """When the driver acts by itself.

    Attributes:
        command_s: without commands: hold.
        hold_s: then, after holding so long: stop safely. 0: never.
        fault_s: a fault of the servos (heat, load, voltage, alarm): hold, and stop safely after this.
        state_s: older states are a fault.
        stop: how to stop safely: lower slowly to the rest pose and switch the torque off, switch it off where
            the arm is, or keep holding.
    """

    command_s: float = 0.5
    hold_s: float = 10.0
    fault_s: float = 2.0
    state_s: float = 0.3
    stop: Stop = "rest"


class ArmPhases:
    """The phase, and the orders that follow from time."""

    def __init__(self, timeouts: Timeouts) -> None:
        self.timeouts = timeouts
        self.phase = Phase.OFF
        self.fault = ""
        self._command_s = self._since_s = 0.0
        self._fault_s: float | None = None

    @property
    def powered(self) -> bool:
        """Whether the torque is on."""
        return self.phase is not Phase.OFF

    @property
    def takes_commands(self) -> bool:
        """Whether a motion command would be executed."""
        return self.phase in (Phase.READY, Phase.ACTIVE, Phase.HOLDING)

    def torque(self, on: bool) -> None:
        """The torque was switched, or found to be so."""
        self.phase = Phase.READY if on else Phase.OFF
        self.fault = ""
        self._fault_s = None

    def hold(self, now_s: float, fault: str) -> None:
        """The arm holds from now on, because of `fault`."""
        self.phase, self.fault, self._since_s = Phase.HOLDING, fault, now_s

    def command(self, now_s: float) -> None:
        """A command was executed."""
        self.phase, self._command_s = Phase.ACTIVE, now_s
        if self.fault == "command_timeout":
            self.fault = ""

    def lowering(self) -> None:
        """The arm goes to its rest pose."""
        self.phase = Phase.LOWERING

    def lowered(self) -> None:
        """It is there; the torque goes off next."""
        self.fault = ""

    def update(self, now_s: float, servo_fault: str) -> Order:
        """What to do now; `servo_fault` is the guard's or alarm's name, "" if the servos are well."""
        if not self.powered or self.phase is Phase.LOWERING:
            return Order.NONE
        if servo_fault:
            if self._fault_s is None:
                self._fault_s = now_s
                self.hold(now_s, servo_fault)
                return Order.HOLD_HERE
            return self._stop() if now_s - self._fault_s > self.timeouts.fault_s else Order.NONE
        if self._fault_s is not None:  # holding has helped: commands may go on
            self._fault_s, self.fault, self._since_s = None, "", now_s
        if self.phase is Phase.ACTIVE and now_s - self._command_s > self.timeouts.command_s:
            self.hold(now_s, "command_timeout")  # the servos do: at the last target
        overdue = self.timeouts.hold_s > 0 and now_s - self._since_s > self.timeouts.hold_s
        return self._stop() if self.phase is Phase.HOLDING and overdue else Order.NONE

    def _stop(self) -> Order:
        return {"rest": Order.LOWER, "torque_off": Order.TORQUE_OFF, "hold": Order.NONE}[self.timeouts.stop]
