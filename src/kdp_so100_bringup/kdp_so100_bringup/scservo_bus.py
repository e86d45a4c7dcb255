"""Bus backend on feetech-servo-sdk (`scservo_sdk`), torch-free; the default.

What version 1.0.0 of the SDK does and this file works around:
- its port never blocks, so waiting for an answer burns a core: here reading waits for bytes.
- a silent servo costs 34 ms and is not named: time-outs are ours, and a synchronous read takes the answers
  in any order, so that one knows who is missing and who is damaged.
- late answers to an earlier request are taken for those to the next: the input is dropped before sending.
- a port that disappears raises whatever pyserial or the kernel raise: that becomes `CableGone`.
"""

from __future__ import annotations

import os
import select
import termios
import time
import zlib
from collections.abc import Callable, Sequence
from itertools import compress
from typing import TypeVar

import scservo_sdk as scs
import serial

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.arm_bus import (
    TORQUE_EVERY,
    BadChecksum,
    CableGone,
    Reading,
    ServoSilent,
    WrongServo,
    try_all,
)
from kdp_so100_bringup.registers import MODEL_NUMBER, Register

BAUD = 1_000_000
PRESENT, STATE_BYTES = Register.PRESENT_POSITION.address, 8
"""Position, speed, load (two bytes each), voltage, temperature."""
TORQUE = Register.TORQUE_ENABLE.address
TORQUE_BYTES = PRESENT - TORQUE
"""From the torque to the state: one wider answer is cheaper than a request of its own."""
GOAL = Register.GOAL_POSITION.address
EEPROM = {
    Register.RETURN_DELAY: 0,
    Register.MODE: 0,
    # Gains that lerobot sets, too: the factory's shake.
    Register.P_GAIN: 16,
    Register.D_GAIN: 32,
    Register.I_GAIN: 0,
}
REGISTER_S = 0.05  # patience with one answer outside the control cycle
TRIES = 3  # of everything outside the control cycle

T = TypeVar("T")


class _Port(scs.PortHandler):
    """The SDK's port with a time-out of its own that waits instead of spinning."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.timeout_s, self._deadline = 0.0, 0.0

    def setPacketTimeout(self, packet_length: int) -> None:
        self._deadline = time.monotonic() + self.timeout_s + self.tx_time_per_byte * packet_length * 1e-3

    def isPacketTimeout(self) -> bool:
        return time.monotonic() > self._deadline

    def clearPort(self) -> None:
        termios.tcflush(self.ser.fd, termios.TCIFLUSH)

    def readPort(self, length: int) -> bytes:
        if length < 1:  # the SDK asks for less than nothing after a length byte that was damaged to 0 or 1
            return b""
        # What has come in time counts, however late we look.
        left = max(self._deadline - time.monotonic(), 0.0)
        if not select.select([self.ser.fd], [], [], left)[0]:
            return b""
        data = os.read(self.ser.fd, length)
        if not data:
            raise OSError("the port is at its end")
        return data


class ScservoBus:
    """Servos `ids` on `port`; `timeout_s` is the patience with one synchronous read."""

    def __init__(self, port: str, ids: Sequence[int], timeout_s: float) -> None:
        self.ids = tuple(ids)
        self._name, self._timeout_s = port, timeout_s
        self._answer_due = False
        self._reads = 0
        self._port = _Port(port)
        self._packets = scs.PacketHandler(0)
        self._row = {servo: row for row, servo in enumerate(self.ids)}

    def open(self) -> None:
        """See `ArmBus.open`."""
        try:
            opened = self._port.openPort()
        except (serial.SerialException, OSError) as error:
            raise CableGone(f"cannot open {self._name}: {_first_line(error)}") from None
        if not opened:
            raise CableGone(f"cannot open {self._name} at {BAUD} baud")
        self._port.is_using = False
        firmware = set()
        for joint, servo in zip(JOINTS, self.ids, strict=True):
            model = self._get(servo, Register.MODEL)
            if model != MODEL_NUMBER:
                raise WrongServo(f"{joint} (id {servo}) is model {model}, expected {MODEL_NUMBER} (STS3215)")
            major, minor = Register.FIRMWARE_MAJOR, Register.FIRMWARE_MINOR
            firmware.add((self._get(servo, major), self._get(servo, minor)))
        if len(firmware) > 1:
            versions = [f"{major}.{minor}" for major, minor in sorted(firmware)]
            raise WrongServo(f"servos have different firmware: {', '.join(versions)}")

    def close(self) -> None:
        """See `ArmBus.close`."""
        if self._port.is_open:
            try:
                self._port.closePort()
            except (serial.SerialException, OSError, termios.error):
                self._port.is_open = False

    def read_calibration(self) -> list[tuple[int, int, int]]:
        """See `ArmBus.read_calibration`."""
        registers = Register.HOMING_OFFSET, Register.MIN_POSITION, Register.MAX_POSITION
        return [tuple(self._get(servo, register) for register in registers) for servo in self.ids]

    def write_calibration(self, registers: Sequence[tuple[int, int, int]]) -> None:
        """See `ArmBus.write_calibration`."""
        for servo, (offset, low, high) in zip(self.ids, registers, strict=True):
            self._set(servo, Register.TORQUE_ENABLE, 0)
            self._set(servo, Register.LOCK, 0)
            self._set(servo, Register.HOMING_OFFSET, offset)
            self._set(servo, Register.MIN_POSITION, low)
            self._set(servo, Register.MAX_POSITION, high)
            self._set(servo, Register.LOCK, 1)

    def configure(self) -> None:
        """See `ArmBus.configure`. The EEPROM is written only where it differs, and never under torque."""
        for servo in self.ids:
            differing = [(r, value) for r, value in EEPROM.items() if self._get(servo, r) != value]
            if differing and not self._get(servo, Register.TORQUE_ENABLE):
                self._set(servo, Register.LOCK, 0)
                for register, value in differing:
                    self._set(servo, register, value)
                self._set(servo, Register.LOCK, 1)
            self._set(servo, Register.ACCELERATION, 254)

    def torque_enabled(self) -> list[bool]:
        """See `ArmBus.torque_enabled`."""
        return [bool(self._get(servo, Register.TORQUE_ENABLE)) for servo in self.ids]

    def set_torque(self, enabled: bool) -> None:
        """See `ArmBus.set_torque`."""
        register = Register.TORQUE_ENABLE
        if enabled:
            for servo in self.ids:
                self._set(servo, register, 1)
            return
        data = [byte for servo in self.ids for byte in (servo, 0)]
        self._guarded(lambda: self._packets.syncWriteTxOnly(self._port, register.address, 1, data, len(data)))
        try_all(self.ids, lambda servo: self._set(servo, register, 0))

    def read(self) -> Reading:
        """See `ArmBus.read`."""
        return self._guarded(self._read_state)

    def write_goals(self, ticks: Sequence[int], to: Sequence[bool] = (True,) * 6) -> int:
        """See `ArmBus.write_goals`."""
        data = bytearray()
        for servo, tick in zip(compress(self.ids, to), compress(ticks, to), strict=True):
            data += bytes((servo, tick & 255, tick >> 8))
        self._guarded(lambda: self._packets.syncWriteTxOnly(self._port, GOAL, 2, list(data), len(data)))
        return zlib.crc32(bytes((GOAL, 2)) + data)

    # ---- one packet

    def _read_state(self) -> Reading:
        started = time.monotonic_ns()
        ids, port = self.ids, self._port
        port.timeout_s = self._timeout_s
        before = TORQUE_BYTES if self._reads % TORQUE_EVERY == 0 else 0
        size = before + STATE_BYTES
        self._packets.syncReadTx(port, PRESENT - before, size, list(ids), len(ids))
        port.setPacketTimeout((size + 6) * len(ids))
        rows: list[list[int] | None] = [None] * len(ids)
        damaged = 0
        while any(row is None for row in rows):
            packet, result = self._packets.rxPacket(port)
            if result == scs.COMM_RX_TIMEOUT or (result != scs.COMM_SUCCESS and port.isPacketTimeout()):
                damaged += bool(packet)
                break
            row = self._row.get(packet[2]) if len(packet) == size + 6 else None
            if result != scs.COMM_SUCCESS:
                damaged += 1
                if damaged and row == len(ids) - 1:
                    break  # the last answer is in: there is nothing left to wait for
            elif row is not None:
                rows[row] = packet
                if damaged and row == len(ids) - 1:
                    break
        received = time.monotonic_ns()
        self._answer_due = None in rows
        missing = [f"{JOINTS[i]} (id {ids[i]})" for i, row in enumerate(rows) if row is None]
        if missing and damaged:
            raise BadChecksum(f"damaged answer, {', '.join(missing)} not understood")
        if missing:
            silent = [servo for servo, row in zip(ids, rows, strict=True) if row is None]
            raise ServoSilent(f"no answer from {', '.join(missing)}", silent)
        self._reads += 1  # a read that failed is asked the same again
        answers = [row for row in rows if row is not None]
        data = [p[before:] for p in answers]  # the state where it lies in a narrow answer
        return Reading(
            started,
            received,
            ticks=tuple(_signed(p[5] | p[6] << 8, 15) for p in data),
            speed=tuple(float(_signed(p[7] | p[8] << 8, 15)) for p in data),
            load=tuple(0.001 * _signed(p[9] | p[10] << 8, 10) for p in data),
            volts=tuple(0.1 * p[11] for p in data),
            celsius=tuple(float(p[12]) for p in data),
            alarms=tuple(p[4] for p in answers),
            torque=tuple(bool(p[5]) for p in answers) if before else (),
        )

    def _get(self, servo: int, register: Register) -> int:
        raw = self._answer(servo, lambda: self._ask(servo, register))
        return register.decode(raw.to_bytes(2, "little"))

    def _ask(self, servo: int, register: Register) -> tuple[int, int, int]:
        """As the SDK's reads, which take the checksum of an answer that is too short for a value."""
        packet: list[int] = []
        result = self._packets.readTx(self._port, servo, register.address, register.size)
        while result == scs.COMM_SUCCESS and packet[2:3] != [servo]:
            packet, result = self._packets.rxPacket(self._port)
        if result == scs.COMM_SUCCESS and len(packet) != register.size + 6:
            result = scs.COMM_RX_CORRUPT
        return int.from_bytes(bytes(packet[5:-1]), "little") if result == scs.COMM_SUCCESS else 0, result, 0

    def _set(self, servo: int, register: Register, value: int) -> None:
        data = list(register.encode(value))
        address, size = register.address, register.size
        self._answer(servo, lambda: (0, *self._packets.writeTxRx(self._port, servo, address, size, data)))

    def _answer(self, servo: int, exchange: Callable[[], tuple[int, int, int]]) -> int:
        """Repeat an exchange with one servo until it succeeds; ServoSilent or BadChecksum after TRIES."""
        result = scs.COMM_RX_TIMEOUT
        for _ in range(TRIES):
            self._port.timeout_s = max(self._timeout_s, REGISTER_S)
            if self._answer_due:  # a late answer to another request would be taken for this one's
                time.sleep(self._port.timeout_s)
            value, result, _alarm = self._guarded(exchange)
            self._answer_due = result != scs.COMM_SUCCESS
            if result == scs.COMM_SUCCESS:
                return int(value)
        joint = f"{JOINTS[self._row[servo]]} (id {servo})"
        if result == scs.COMM_RX_CORRUPT:
            raise BadChecksum(f"{joint}: damaged answers")
        raise ServoSilent(f"no answer from {joint}", (servo,))

    def _guarded(self, exchange: Callable[[], T]) -> T:
        if not self._port.is_open:
            raise CableGone(f"{self._name} is not open")
        try:
            return exchange()
        except (serial.SerialException, OSError, termios.error, TypeError, ValueError) as error:
            # A file descriptor that was closed under us is a TypeError or ValueError, depending on where.
            raise CableGone(f"{self._name}: {_first_line(error)}") from None
        finally:
            self._port.is_using = False


def _signed(value: int, sign_bit: int) -> int:
    """Sign and magnitude, as the servo codes it."""
    return -(value & ~(1 << sign_bit)) if value >> sign_bit & 1 else value


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())
