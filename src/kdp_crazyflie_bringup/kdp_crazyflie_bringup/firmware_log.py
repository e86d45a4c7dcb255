# SPDX-License-Identifier: GPL-3.0-or-later
"""Log port (5) of the simulated firmware: table of contents, log blocks and their data packets."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kdp_crazyflie_bringup.crtp import Errno, Port, packet

MAX_BLOCKS = 16
MAX_VARIABLES = 128
MAX_BLOCK_BYTES = 26
MIN_PERIOD_S = 0.010

#: Type code on the wire -> (C name, struct format).
TYPES = {1: ("uint8_t", "B"), 2: ("uint16_t", "H"), 3: ("uint32_t", "I"), 4: ("int8_t", "b"),
         5: ("int16_t", "h"), 6: ("int32_t", "i"), 7: ("float", "f"), 8: ("FP16", "e")}  # fmt: skip
CODES = {name: code for code, (name, _) in TYPES.items()}


def _toc() -> list[tuple[str, str]]:
    """Return (name, C type) of every variable, in the order of their ids."""
    groups: list[tuple[str, str, str]] = [
        ("stateEstimate", "float", "x y z vx vy vz ax ay az roll pitch yaw qx qy qz qw"),
        ("stateEstimateZ", "int16_t", "x y z vx vy vz ax ay az"),
        ("stateEstimateZ", "uint32_t", "quat"),
        ("stateEstimateZ", "int16_t", "rateRoll ratePitch rateYaw"),
        ("pm", "float", "vbat"),
        ("pm", "uint16_t", "vbatMV"),
        ("pm", "int8_t", "state"),
        ("pm", "uint8_t", "batteryLevel"),
        ("supervisor", "uint16_t", "info"),
        ("sys", "uint8_t", "canfly isFlying isTumbled armed"),
        ("stabilizer", "float", "roll pitch yaw"),
        ("gyro", "float", "x y z"),
        ("acc", "float", "x y z"),
        ("kalman", "float", "stateX stateY stateZ varPX varPY varPZ"),
    ]
    return [(f"{group}.{name}", ctype) for group, ctype, names in groups for name in names.split()]


LOG_TOC = _toc()


def clamp_to(code: int, value: float) -> float | int:
    """Return value as the integer or float that type code holds, saturated rather than wrapped."""
    _, fmt = TYPES[code]
    if fmt in "fe":
        return float(value)
    bits = 8 * struct.calcsize(fmt)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if fmt.islower() else (0, (1 << bits) - 1)
    return min(max(round(value), low), high)


@dataclass
class Block:
    """One log block: its variables, and when it is due next (None: stopped)."""

    variables: list[tuple[int, str]] = field(default_factory=list)
    period_s: float = 0.0
    due_s: float | None = None

    @property
    def size(self) -> int:
        """Bytes of the block's values on the wire."""
        return sum(struct.calcsize(TYPES[code][1]) for code, _ in self.variables)


class LogServer:
    """Answers requests on the log port and says which data packets are due.

    Args:
        read: returns the newest value of every variable by name; called only when a block is due.
    """

    def __init__(self, read: Callable[[], Mapping[str, float]]) -> None:
        self._read = read
        self.blocks: dict[int, Block] = {}
        self.crc = zlib.crc32(repr(LOG_TOC).encode())

    def handle(self, channel: int, data: bytes, now_s: float) -> list[bytes]:
        """Return the answers to one request."""
        if not data:
            return []
        if channel == 0:
            return [packet(Port.LOG, 0, self._toc_answer(data))]
        if channel == 1:
            return [packet(Port.LOG, 1, self._control(data, now_s))]
        return []

    def due(self, now_s: float) -> list[bytes]:
        """Return the data packets of all blocks that are due at now_s."""
        packets = []
        values: Mapping[str, float] | None = None
        for number, block in self.blocks.items():
            if block.due_s is None or now_s < block.due_s - 1e-9:
                continue
            values = self._read() if values is None else values
            payload = struct.pack("<B", number) + struct.pack("<I", int(now_s * 1000) & 0xFFFFFF)[:3]
            for code, name in block.variables:
                payload += struct.pack("<" + TYPES[code][1], clamp_to(code, values[name]))
            packets.append(packet(Port.LOG, 2, payload))
            block.due_s += block.period_s
            if block.due_s <= now_s:  # the process was held up: drop what was missed, do not burst
                block.due_s = now_s + block.period_s
        return packets

    def _toc_answer(self, data: bytes) -> bytes:
        if data[0] == 3:
            return struct.pack("<BHIBB", 3, len(LOG_TOC), self.crc, MAX_BLOCKS, MAX_VARIABLES)
        if data[0] == 2 and len(data) >= 3:
            index = struct.unpack_from("<H", data, 1)[0]
            if index < len(LOG_TOC):
                name, ctype = LOG_TOC[index]
                text = name.replace(".", "\0").encode() + b"\0"
                return struct.pack("<BHB", 2, index, CODES[ctype]) + text
        return data[:1]

    def _control(self, data: bytes, now_s: float) -> bytes:
        command = data[0]
        if command == 5:
            self.blocks.clear()
            return bytes([5, 0, 0])
        number = data[1] if len(data) > 1 else 0
        return bytes([command, number, self._change(command, number, data[2:], now_s)])

    def _change(self, command: int, number: int, body: bytes, now_s: float) -> int:
        if command == 6:
            if number in self.blocks:
                return Errno.EEXIST
            if len(self.blocks) >= MAX_BLOCKS:
                return Errno.ENOMEM
            self.blocks[number] = Block()
            error = self._append(number, body)
            if error:
                del self.blocks[number]
            return error
        if number not in self.blocks:
            return Errno.ENOENT if command in (2, 3, 4, 7, 8) else Errno.ENOEXEC
        block = self.blocks[number]
        if command == 7:
            return self._append(number, body)
        if command == 2:
            del self.blocks[number]
        elif command == 4:
            block.due_s = None
        elif command in (3, 8):
            period = body[0] * 0.010 if command == 3 else struct.unpack_from("<H", body)[0] * 0.001
            block.period_s = max(period, MIN_PERIOD_S)
            block.due_s = now_s + block.period_s
        else:
            return Errno.ENOEXEC
        return Errno.OK

    def _append(self, number: int, body: bytes) -> int:
        block = self.blocks[number]
        added: list[tuple[int, str]] = []
        for offset in range(0, len(body) - 2, 3):
            type_byte, index = struct.unpack_from("<BH", body, offset)
            if type_byte & 0x0F not in TYPES or index >= len(LOG_TOC):
                return Errno.ENOENT
            added.append((type_byte & 0x0F, LOG_TOC[index][0]))
        total = sum(len(b.variables) for b in self.blocks.values()) + len(added)
        if total > MAX_VARIABLES:
            return Errno.ENOMEM
        if Block(block.variables + added).size > MAX_BLOCK_BYTES:
            return Errno.E2BIG
        block.variables.extend(added)
        return Errno.OK
