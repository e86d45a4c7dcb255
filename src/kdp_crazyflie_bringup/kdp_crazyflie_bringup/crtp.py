# SPDX-License-Identifier: GPL-3.0-or-later
"""Crazy RealTime Protocol: ports, header byte and the compressed quaternion.

One UDP datagram is one packet: a header byte (``port << 4 | 0x0C | channel``) and 0 to 30 bytes of data.
Source: the protocol pages of crazyflie-firmware, ``docs/functional-areas/crtp``, and cflib 0.1.34.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

MAX_DATA = 30
NULL_PACKET = 0xFF
PROTOCOL_VERSION = 12


class Port(IntEnum):
    """CRTP ports that the simulated firmware serves."""

    CONSOLE = 0
    PARAM = 2
    COMMANDER = 3
    MEM = 4
    LOG = 5
    LOCALIZATION = 6
    SETPOINT = 7
    HIGH_LEVEL = 8
    SUPERVISOR = 9
    PLATFORM = 13
    LINK = 15


class Errno(IntEnum):
    """Error numbers that the firmware puts into its answers (``crtp_error_numbers.md``)."""

    OK = 0
    ENOENT = 2
    E2BIG = 7
    ENOEXEC = 8
    ENOMEM = 12
    EACCES = 13
    EBUSY = 16
    EEXIST = 17
    EINVAL = 22


def packet(port: int, channel: int, data: bytes = b"") -> bytes:
    """Return the datagram of one packet.

    Raises:
        ValueError: if data is longer than a CRTP packet can be.
    """
    if len(data) > MAX_DATA:
        raise ValueError(f"CRTP data is {len(data)} bytes, at most {MAX_DATA} fit")
    return bytes([(port & 0x0F) << 4 | 0x0C | (channel & 0x03)]) + data


def split(datagram: bytes) -> tuple[int, int, bytes]:
    """Return (port, channel, data) of a datagram of at least one byte."""
    header = datagram[0]
    return header >> 4, header & 0x03, datagram[1:]


def compress_quaternion(quaternion: Sequence[float]) -> int:
    """Pack a unit quaternion (x, y, z, w) into 32 bits: index of the largest element, three times 10 bits.

    Source: ``quatcompress.h`` of the firmware. The largest element is made positive and left out.
    """
    norm = math.sqrt(sum(value * value for value in quaternion))
    values = [value / norm for value in quaternion]
    largest = max(range(4), key=lambda i: abs(values[i]))
    negate = values[largest] < 0
    packed = largest
    for i, value in enumerate(values):
        if i != largest:
            magnitude = int(511 * abs(value) * math.sqrt(2.0) + 0.5)
            packed = packed << 10 | int((value < 0) != negate) << 9 | min(magnitude, 511)
    return packed


def decompress_quaternion(packed: int) -> tuple[float, float, float, float]:
    """Return the unit quaternion (x, y, z, w) packed by :func:`compress_quaternion`."""
    largest = packed >> 30
    values = [0.0] * 4
    total = 0.0
    for i in range(3, -1, -1):
        if i != largest:
            value = (packed & 0x1FF) / 511 / math.sqrt(2.0)
            values[i] = -value if packed & 0x200 else value
            total += value * value
            packed >>= 10
    values[largest] = math.sqrt(max(0.0, 1.0 - total))
    return values[0], values[1], values[2], values[3]
