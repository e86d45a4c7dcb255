"""Bus backend on lerobot's own bus code (`lerobot.motors.feetech`), for those who have lerobot anyway.

It reads positions in every cycle and one of load, voltage and temperature now and then, because lerobot reads
one register at a time. `bus.connect()` and `bus.write_calibration()` never ask on stdin, as the robot classes
above them do; those are not used.
"""

from __future__ import annotations

import termios
import time
import zlib
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, TypeVar

import serial
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.arm_bus import (
    TORQUE_EVERY,
    BadChecksum,
    BusError,
    CableGone,
    Reading,
    ServoSilent,
    WrongServo,
    try_all,
)
from kdp_so100_bringup.registers import Register

SLOW = (
    ("load", "Present_Load", 0.001),
    ("volts", "Present_Voltage", 0.1),
    ("celsius", "Present_Temperature", 1.0),
)
SLOW_EVERY = 10  # reads
LATE_S = 0.06  # after a request without an answer, before the next one
RETRIES = 2  # of everything outside the control cycle

T = TypeVar("T")


class LerobotBus:
    """Servos `ids` on `port`; lerobot waits 50 ms for an answer."""

    def __init__(self, port: str, ids: Sequence[int]) -> None:
        self.ids = tuple(ids)
        self._name = port
        motors = {
            joint: Motor(servo, "sts3215", MotorNormMode.RANGE_M100_100)
            for joint, servo in zip(JOINTS, ids, strict=True)
        }
        self._bus = FeetechMotorsBus(port, motors)
        self._slow: dict[str, tuple[float, ...]] = {}
        self._reads = 0
        self._answer_due = False

    def open(self) -> None:
        """See `ArmBus.open`."""
        try:
            self._bus.connect()
        except (ConnectionError, OSError, serial.SerialException, termios.error) as error:
            cause = error.__cause__ or error
            raise CableGone(f"cannot open {self._name}: {_first_line(cause)}") from None
        except RuntimeError as error:  # the handshake: missing motors, wrong model or firmware
            self.close()
            text = _first_line(error)
            raise (ServoSilent if "missing" in text.lower() else WrongServo)(text) from None

    def close(self) -> None:
        """See `ArmBus.close`."""
        try:
            self._bus.port_handler.closePort()
        except Exception:  # a port that is gone closes with whatever its layers raise
            self._bus.port_handler.is_open = False

    def read_calibration(self) -> list[tuple[int, int, int]]:
        """See `ArmBus.read_calibration`."""
        found = self._guarded(self._bus.read_calibration)
        return [(found[j].homing_offset, found[j].range_min, found[j].range_max) for j in JOINTS]

    def write_calibration(self, registers: Sequence[tuple[int, int, int]]) -> None:
        """See `ArmBus.write_calibration`."""
        calibration = {
            joint: MotorCalibration(servo, 0, *values)
            for joint, servo, values in zip(JOINTS, self.ids, registers, strict=True)
        }

        def write() -> None:
            self._bus.disable_torque(num_retry=RETRIES)  # opens the lock, too
            self._bus.write_calibration(calibration)
            for joint in JOINTS:
                self._bus.write("Lock", joint, 1, num_retry=RETRIES)

        self._guarded(write)

    def configure(self) -> None:
        """See `ArmBus.configure`; as lerobot's SO100Follower does it, and never under torque."""
        if any(self.torque_enabled()):
            return

        def configure() -> None:
            self._bus.disable_torque(num_retry=RETRIES)
            self._bus.configure_motors()
            for joint in JOINTS:
                for name, value in (
                    ("Operating_Mode", 0),
                    ("P_Coefficient", 16),
                    ("I_Coefficient", 0),
                    ("D_Coefficient", 32),
                    ("Lock", 1),
                ):
                    self._bus.write(name, joint, value, num_retry=RETRIES)

        self._guarded(configure)

    def torque_enabled(self) -> list[bool]:
        """See `ArmBus.torque_enabled`."""
        found = self._guarded(
            lambda: self._bus.sync_read("Torque_Enable", normalize=False, num_retry=RETRIES)
        )
        return [bool(found[joint]) for joint in JOINTS]

    def set_torque(self, enabled: bool) -> None:
        """See `ArmBus.set_torque`."""
        if enabled:
            self._guarded(lambda: self._bus.enable_torque(num_retry=RETRIES))
            return
        off = dict.fromkeys(JOINTS, 0)
        self._guarded(lambda: self._bus.sync_write("Torque_Enable", off, normalize=False))
        try_all(
            JOINTS,
            lambda joint: self._guarded(lambda: self._bus.disable_torque(joint, num_retry=RETRIES)),
        )

    def read(self) -> Reading:
        """See `ArmBus.read`."""
        started = time.monotonic_ns()
        ticks = self._guarded(lambda: self._bus.sync_read("Present_Position", normalize=False))
        received = time.monotonic_ns()
        if self._reads % SLOW_EVERY == 0:
            name, register, unit = SLOW[self._reads // SLOW_EVERY % len(SLOW)]
            values = self._guarded(lambda: self._bus.sync_read(register, normalize=False))
            self._slow[name] = tuple(unit * values[joint] for joint in JOINTS)
        torque: tuple[bool, ...] = ()
        if self._reads % TORQUE_EVERY == 1:  # not in the reads above
            on = self._guarded(lambda: self._bus.sync_read("Torque_Enable", normalize=False))
            torque = tuple(bool(on[joint]) for joint in JOINTS)
        self._reads += 1
        return Reading(
            started, received, tuple(int(ticks[joint]) for joint in JOINTS), torque=torque, **self._slow
        )

    def write_goals(self, ticks: Sequence[int], to: Sequence[bool] = (True,) * 6) -> int:
        """See `ArmBus.write_goals`."""
        goals = dict(zip(compress(JOINTS, to), compress(ticks, to), strict=True))
        self._guarded(lambda: self._bus.sync_write("Goal_Position", goals, normalize=False))
        data = bytearray((Register.GOAL_POSITION.address, Register.GOAL_POSITION.size))
        for servo, tick in zip(compress(self.ids, to), compress(ticks, to), strict=True):
            data += bytes((servo, tick & 255, tick >> 8))
        return zlib.crc32(data)

    def _guarded(self, exchange: Callable[[], T]) -> T:
        bus: Any = self._bus
        try:
            if not bus.is_connected:
                raise CableGone(f"{self._name} is not open")
            # lerobot takes a late answer to the last request for the answer to this one, and so on for ever.
            if self._answer_due:
                time.sleep(LATE_S)
            self._answer_due = False
            bus.port_handler.ser.reset_input_buffer()
            return exchange()
        except ConnectionError as error:
            if not bus.is_connected:
                raise CableGone(f"{self._name}: {_first_line(error)}") from None
            raise self._which(str(error)) from None
        except RuntimeError as error:  # an answer with an error byte
            raise BusError(_first_line(error)) from None
        except (OSError, serial.SerialException, termios.error, TypeError, ValueError) as error:
            raise CableGone(f"{self._name}: {_first_line(error)}") from None
        finally:
            bus.port_handler.is_using = False

    def _which(self, text: str) -> BusError:
        """The error of a failed exchange; a synchronous read leaves the servo that failed without data."""
        answers = self._bus.sync_reader.data_dict
        silent = [servo for servo in self.ids if servo in answers and not answers[servo]][:1]
        names = ", ".join(f"{JOINTS[self.ids.index(servo)]} (id {servo})" for servo in silent)
        if "Incorrect status packet" in text:
            return BadChecksum(f"damaged answer, {names or 'one servo'} not understood")
        self._answer_due = True
        return ServoSilent(f"no answer from {names}" if names else " ".join(text.split()), silent)


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
