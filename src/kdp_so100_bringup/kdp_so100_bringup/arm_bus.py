"""The small interface behind which the driver's two bus backends lie, and what can go wrong on a bus.

All positions are ticks as the servo reports them; order of the servos everywhere: that of the calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from kdp_core.exceptions import ConfigError, KdpError

BACKENDS = ("scservo_sdk", "lerobot")
TORQUE_EVERY = 5
"""Reads: so often the torque registers are read, too. A servo that was rebooted has lost its torque and looks
sound otherwise; asking costs 1 ms on the wire."""

T = TypeVar("T")


class BusError(KdpError):
    """Talking to the servos failed; `fault` is the short name for the status topic."""

    fault = "bus_error"


class CableGone(BusError):
    """The port is not there (any more)."""

    fault = "link_lost"


class ServoSilent(BusError):
    """Servos did not answer; `ids` says which."""

    fault = "servo_silent"

    def __init__(self, message: str, ids: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.ids = tuple(ids)


class BadChecksum(BusError):
    """An answer was damaged on the way."""

    fault = "checksum_errors"


class WrongServo(BusError):
    """A servo is not what an SO-100 has, or firmware versions differ."""

    fault = "wrong_servo"


@dataclass(frozen=True)
class Reading:
    """One synchronous read of all servos.

    Attributes:
        started_ns, received_ns: CLOCK_MONOTONIC at the start of the request and after the last answer.
        ticks: (6) present positions.
        speed: (6) ticks/s, empty if the backend does not read it.
        load: (6) share of the stall torque, signed -1..1; empty if not read yet.
        volts, celsius: (6), empty if not read yet.
        alarms: (6) error byte of each servo's answer, 0 if all is well.
        torque: (6) whether each servo holds; empty in reads that did not ask.
    """

    started_ns: int
    received_ns: int
    ticks: tuple[int, ...]
    speed: tuple[float, ...] = ()
    load: tuple[float, ...] = ()
    volts: tuple[float, ...] = ()
    celsius: tuple[float, ...] = ()
    alarms: tuple[int, ...] = ()
    torque: tuple[bool, ...] = ()


class ArmBus(Protocol):
    """A bus with the servos `ids`. Every method may raise a BusError, which never leaves the bus unusable."""

    ids: Sequence[int]

    def open(self) -> None:
        """Open the port and see that every servo is there, an STS3215, all of one firmware."""
        ...

    def close(self) -> None:
        """Close the port; safe to call at any time, sends nothing."""
        ...

    def read_calibration(self) -> list[tuple[int, int, int]]:
        """(6) homing offset, minimum and maximum position limit from the EEPROMs."""
        ...

    def write_calibration(self, registers: Sequence[tuple[int, int, int]]) -> None:
        """Write them, torque off."""
        ...

    def configure(self) -> None:
        """Position mode, quick answers, full acceleration."""
        ...

    def torque_enabled(self) -> list[bool]:
        """(6) whether each servo holds."""
        ...

    def set_torque(self, enabled: bool) -> None:
        """Torque of all servos.

        Off reaches every servo that hears, whoever does not answer: all at once first, then each by itself,
        and only then are the errors raised. On stops at the first error.
        """
        ...

    def read(self) -> Reading:
        """Present state of all servos, by synchronous read."""
        ...

    def write_goals(self, ticks: Sequence[int], to: Sequence[bool] = (True,) * 6) -> int:
        """Write goal positions (6) ``to`` these servos at once; returns the CRC-32 of the parameter bytes."""
        ...


def try_all(servos: Iterable[T], action: Callable[[T], object]) -> None:
    """Do it to every servo; raise the errors afterwards as one. CableGone ends it at once."""
    errors: list[BusError] = []
    for servo in servos:
        try:
            action(servo)
        except CableGone:
            raise
        except BusError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        text = "; ".join(str(error) for error in errors)
        if any(isinstance(error, ServoSilent) for error in errors):
            raise ServoSilent(text, [i for error in errors for i in getattr(error, "ids", ())])
        raise type(errors[0])(text)


def make_bus(
    backend: Literal["scservo_sdk", "lerobot"], port: str, ids: Sequence[int], timeout_s: float
) -> ArmBus:
    """A closed bus of the backend. ConfigError names what is not installed."""
    try:
        if backend == "scservo_sdk":
            from kdp_so100_bringup.scservo_bus import ScservoBus

            return ScservoBus(port, ids, timeout_s)
        if backend == "lerobot":
            from kdp_so100_bringup.lerobot_bus import LerobotBus

            return LerobotBus(port, ids)
    except ImportError as error:
        package = {"scservo_sdk": "feetech-servo-sdk", "lerobot": "lerobot"}[backend]
        raise ConfigError(f"bus '{backend}' needs the package {package}: {error}") from None
    raise ConfigError(f"bus must be one of {', '.join(BACKENDS)}, got '{backend}'")
