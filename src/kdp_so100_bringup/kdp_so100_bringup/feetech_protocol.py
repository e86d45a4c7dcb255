"""Frames of the Feetech serial bus: checksums, instruction and status frames, a frame reader.

Source: Feetech's e-manual "FT-SCS protocol" (doc.feetech.cn, section numbers below are its). Every frame is
``FF FF id length code parameters checksum`` with length = number of parameters + 2 and checksum = inverted
low byte of the sum of everything between header and checksum (section 2). In an instruction frame the code
is the instruction, in a status frame the error byte (section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from typing import NamedTuple

from kdp_core.exceptions import ConfigError

HEADER = b"\xff\xff"
BROADCAST_ID = 0xFE
MAX_ID = 0xFD
MAX_PARAMETERS = 250
BITS_PER_BYTE = 10
"""On the wire: start bit, 8 data bits, stop bit (section 1)."""


class Instruction(IntEnum):
    """Instructions of section 4."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    REBOOT = 0x08
    RESET = 0x0A
    CALIBRATE = 0x0B
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


class Error(IntFlag):
    """Error byte of a status frame; the same bits as the status register (address 65)."""

    VOLTAGE = 1
    ENCODER = 2
    TEMPERATURE = 4
    CURRENT = 8
    OVERLOAD = 32


class Frame(NamedTuple):
    """A frame without header and checksum.

    Attributes:
        servo_id: 0 to 253, or BROADCAST_ID.
        code: the instruction, or the error byte of a status frame.
        parameters: 0 to 250 bytes.
    """

    servo_id: int
    code: int
    parameters: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes on the wire.

        Raises:
            ConfigError: if the frame cannot be sent: a field does not fit its byte, or it is too long.
        """
        if not 0 <= self.servo_id <= BROADCAST_ID or not 0 <= self.code <= 0xFF:
            raise ConfigError(f"frame: id {self.servo_id} or code {self.code} does not fit")
        if len(self.parameters) > MAX_PARAMETERS:
            raise ConfigError(
                f"frame: {len(self.parameters)} parameters, a frame takes at most {MAX_PARAMETERS}"
            )
        body = bytes([self.servo_id, len(self.parameters) + 2, self.code]) + self.parameters
        return HEADER + body + bytes([checksum(body)])


def checksum(body: bytes) -> int:
    """Return the checksum of what lies between header and checksum (section 2)."""
    return ~sum(body) & 0xFF


def ping(servo_id: int) -> bytes:
    """Ask for the error byte of a servo (section 4.1)."""
    return Frame(servo_id, Instruction.PING).encode()


def read(servo_id: int, address: int, size: int) -> bytes:
    """Read `size` bytes from `address` (section 4.2)."""
    return Frame(servo_id, Instruction.READ, bytes([address, size])).encode()


def write(servo_id: int, address: int, data: bytes) -> bytes:
    """Write `data` at `address` (section 4.3)."""
    return Frame(servo_id, Instruction.WRITE, bytes([address]) + data).encode()


def reg_write(servo_id: int, address: int, data: bytes) -> bytes:
    """Write `data` at `address` when ACTION comes (section 4.4)."""
    return Frame(servo_id, Instruction.REG_WRITE, bytes([address]) + data).encode()


def action(servo_id: int = BROADCAST_ID) -> bytes:
    """Execute what was registered (section 4.5)."""
    return Frame(servo_id, Instruction.ACTION).encode()


def sync_write(address: int, data: Mapping[int, bytes]) -> bytes:
    """Write to several servos at once, same address and size, no reply (section 4.6).

    Raises:
        ConfigError: if the sizes differ or there are none.
    """
    sizes = {len(piece) for piece in data.values()}
    if len(sizes) != 1:
        raise ConfigError(f"sync write: every servo needs the same number of bytes, got {sorted(sizes)}")
    body = b"".join(bytes([servo_id]) + piece for servo_id, piece in data.items())
    return Frame(BROADCAST_ID, Instruction.SYNC_WRITE, bytes([address, sizes.pop()]) + body).encode()


def sync_read(address: int, size: int, servo_ids: Sequence[int]) -> bytes:
    """Read from several servos; they answer one after the other in this order (section 4.7)."""
    return Frame(BROADCAST_ID, Instruction.SYNC_READ, bytes([address, size, *servo_ids])).encode()


def split_sync_write(parameters: bytes) -> tuple[int, dict[int, bytes]]:
    """Return address and data per servo of a SYNC_WRITE's parameters.

    Raises:
        ConfigError: if the parameters do not divide into servos.
    """
    if len(parameters) < 2 or (len(parameters) - 2) % (parameters[1] + 1):
        raise ConfigError("sync write: the parameters do not divide into servos")
    address, size = parameters[0], parameters[1]
    starts = range(2, len(parameters), size + 1)
    return address, {parameters[i]: parameters[i + 1 : i + 1 + size] for i in starts}


class FrameReader:
    """Finds frames in a stream of bytes: instruction frames for a servo, status frames for a host.

    What is no frame is skipped: noise in front, a header that leads nowhere, a frame with a wrong checksum (a
    servo has no way to report one: there is no error bit for it).

    Attributes:
        wrong_checksums: how many frames were dropped for their checksum.
    """

    def __init__(self) -> None:
        self.wrong_checksums = 0
        self._buffer = bytearray()

    @property
    def waiting(self) -> bool:
        """Whether a part of a frame is waiting for the rest."""
        return bool(self._buffer)

    def clear(self) -> None:
        """Forget the part of a frame that has come: the rest is not coming."""
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they come and return the frames that are complete."""
        self._buffer += data
        frames = []
        while (end := self._end_of_frame()) is not None:
            body = bytes(self._buffer[2 : end - 1])
            if checksum(body) == self._buffer[end - 1]:
                frames.append(Frame(body[0], body[2], body[3:]))
                del self._buffer[:end]
            else:
                self.wrong_checksums += 1
                del self._buffer[:2]  # a sound frame may begin within the broken one
        return frames

    def _end_of_frame(self) -> int | None:
        """Return where the frame at the front ends, None while there is no whole frame."""
        buffer = self._buffer
        while True:
            start = buffer.find(HEADER)
            if start < 0:
                del buffer[: len(buffer) - (1 if buffer.endswith(b"\xff") else 0)]
                return None
            del buffer[:start]
            if len(buffer) < 4:
                if len(buffer) == 3 and buffer[2] == 0xFF:
                    del buffer[0]  # three FF: the header is the last two
                return None
            if buffer[2] > BROADCAST_ID or not 2 <= buffer[3] <= MAX_PARAMETERS + 2:
                del buffer[0]
                continue
            end = buffer[3] + 4
            return end if len(buffer) >= end else None
