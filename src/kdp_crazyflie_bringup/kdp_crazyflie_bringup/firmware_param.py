# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter port (2) of the simulated firmware: table of contents, read, write, set by name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from kdp_crazyflie_bringup.crtp import Errno, Port, packet

#: C name -> (type code on the wire, struct format). Codes differ from those of the log port.
TYPES = {"uint8_t": (0x08, "B"), "uint16_t": (0x09, "H"), "uint32_t": (0x0A, "I"), "int8_t": (0x00, "b"),
         "int16_t": (0x01, "h"), "int32_t": (0x02, "i"), "float": (0x06, "f")}  # fmt: skip
READ_ONLY = 0x40


@dataclass(frozen=True)
class Definition:
    """One parameter: complete name, C type, value after boot, and whether it can be written."""

    name: str
    ctype: str
    default: float
    read_only: bool = False

    @property
    def fmt(self) -> str:
        """Struct format of the value."""
        return "<" + TYPES[self.ctype][1]

    @property
    def type_byte(self) -> int:
        """Type and access byte of the table of contents."""
        return TYPES[self.ctype][0] | (READ_ONLY if self.read_only else 0)


PARAM_TOC = [
    Definition("stabilizer.estimator", "uint8_t", 2),
    Definition("stabilizer.controller", "uint8_t", 1),
    Definition("stabilizer.stop", "uint8_t", 0),
    Definition("commander.enHighLevel", "uint8_t", 1),
    Definition("kalman.resetEstimation", "uint8_t", 0),
    Definition("kalman.initialX", "float", 0.0),
    Definition("kalman.initialY", "float", 0.0),
    Definition("kalman.initialZ", "float", 0.0),
    Definition("kalman.initialYaw", "float", 0.0),
    Definition("locSrv.extPosStdDev", "float", 0.01),
    Definition("locSrv.extQuatStdDev", "float", 4.5e-3),
    Definition("posCtlPid.xVelMax", "float", 1.0),
    Definition("posCtlPid.yVelMax", "float", 1.0),
    Definition("posCtlPid.zVelMax", "float", 1.0),
    Definition("supervisor.tmblChckEn", "uint8_t", 1),
    Definition("pm.lowVoltage", "float", 3.2),
    Definition("pm.criticalLowVoltage", "float", 3.0),
    Definition("ring.effect", "uint8_t", 6),
    Definition("deck.bcFlow2", "uint8_t", 1, read_only=True),
    Definition("firmware.revision0", "uint32_t", 0x6B6470, read_only=True),
    Definition("firmware.revision1", "uint16_t", 1, read_only=True),
]


class ParamServer:
    """Holds the parameter values and answers requests on the parameter port.

    Args:
        written: called with (name, value) after a parameter was written.
    """

    def __init__(self, written: Callable[[str, float], None] = lambda name, value: None) -> None:
        self._written = written
        self.values: dict[str, float] = {item.name: item.default for item in PARAM_TOC}
        self.crc = zlib.crc32(repr(PARAM_TOC).encode())

    def handle(self, channel: int, data: bytes) -> list[bytes]:
        """Return the answers to one request."""
        if not data:
            return []
        answer = (self._toc_answer, self._read, self._write, self._misc)[channel](data)
        return [packet(Port.PARAM, channel, answer)]

    def _toc_answer(self, data: bytes) -> bytes:
        if data[0] == 3:
            return struct.pack("<BHI", 3, len(PARAM_TOC), self.crc)
        item = self._item(data[1:])
        if data[0] == 2 and item is not None:
            return data[:3] + bytes([item.type_byte]) + item.name.replace(".", "\0").encode() + b"\0"
        return data[:1]

    def _read(self, data: bytes) -> bytes:
        item = self._item(data)
        if item is None:
            return data[:2] + bytes([Errno.ENOENT])
        return data[:2] + bytes([Errno.OK]) + self._pack(item, self.values[item.name])

    def _write(self, data: bytes) -> bytes:
        item = self._item(data)
        if item is None:
            return data[:2] + bytes([Errno.ENOENT])
        if not item.read_only:
            self._set(item, data[2:])
        return data[:2] + self._pack(item, self.values[item.name])

    def _misc(self, data: bytes) -> bytes:
        command = data[0]
        if command == 0:
            return self._set_by_name(data)
        item = self._item(data[1:])
        if item is None:
            return data[:3] + bytes([Errno.ENOENT])
        if command == 6:
            return data[:3] + self._pack(item, item.default)
        if command == 8:
            return data[:3] + bytes([Errno.OK]) + self._pack(item, item.default)
        # No parameter is persistent here: storing one is refused as the firmware refuses it.
        return data[:3] + bytes([Errno.ENOENT])

    def _set_by_name(self, data: bytes) -> bytes:
        parts = data[1:].split(b"\0", 2)
        if len(parts) < 3 or len(parts[2]) < 2:
            return data[:1] + bytes([Errno.EINVAL])
        head = data[: 1 + len(parts[0]) + 1 + len(parts[1]) + 1]
        name = f"{parts[0].decode('ascii', 'replace')}.{parts[1].decode('ascii', 'replace')}"
        item = next((entry for entry in PARAM_TOC if entry.name == name), None)
        if item is None:
            return head + bytes([Errno.ENOENT])
        if item.read_only:
            return head + bytes([Errno.EACCES])
        if parts[2][0] & 0x0F != TYPES[item.ctype][0] or not self._set(item, parts[2][1:]):
            return head + bytes([Errno.EINVAL])
        return head + bytes([Errno.OK])

    def _item(self, data: bytes) -> Definition | None:
        if len(data) < 2:
            return None
        index = struct.unpack_from("<H", data)[0]
        return PARAM_TOC[index] if index < len(PARAM_TOC) else None

    def _set(self, item: Definition, data: bytes) -> bool:
        if len(data) < struct.calcsize(item.fmt):
            return False
        self.values[item.name] = struct.unpack_from(item.fmt, data)[0]
        self._written(item.name, self.values[item.name])
        return True

    @staticmethod
    def _pack(item: Definition, value: float) -> bytes:
        return struct.pack(item.fmt, value if item.ctype == "float" else int(value))
