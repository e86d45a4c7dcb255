"""Memory table of the STS3215: addresses, sizes, factory values, sign bits.

Sources: Feetech's e-manual "STS memory table (magnetic encoder)" (doc.feetech.cn) for areas, factory values
and units; the control and encoding tables of lerobot (`lerobot/motors/feetech/tables.py`) for names and sign
bits. Both agree on every address used here, except that Feetech calls address 7 reserved and lerobot uses it
as the return delay, and that Feetech gives address 24 one byte and lerobot two.

Numbers of two bytes are little-endian. Signed ones are sign and magnitude with the sign in `sign_bit`.
"""

from __future__ import annotations

from enum import Enum

MODEL_NUMBER = 777
"""STS3215: address 3 holds 9, address 4 holds 3."""
TICKS_PER_TURN = 4096
MIDDLE_TICK = 2048

EEPROM = range(5, 40)
"""Kept without power, when written with the lock open."""
READ_ONLY = (range(5), range(56, 80))
TABLE_SIZE = 87


class Register(Enum):
    """A register: (address, size, factory value, sign bit or None)."""

    FIRMWARE_MAJOR = (0, 1, 3, None)
    FIRMWARE_MINOR = (1, 1, 10, None)
    MODEL = (3, 2, MODEL_NUMBER, None)
    ID = (5, 1, 1, None)
    BAUD_RATE = (6, 1, 0, None)
    RETURN_DELAY = (7, 1, 250, None)
    STATUS_LEVEL = (8, 1, 1, None)
    MIN_POSITION = (9, 2, 0, None)
    MAX_POSITION = (11, 2, 4095, None)
    MAX_TEMPERATURE = (13, 1, 70, None)
    MAX_VOLTAGE = (14, 1, 140, None)
    MIN_VOLTAGE = (15, 1, 40, None)
    MAX_TORQUE = (16, 2, 1000, None)
    PHASE = (18, 1, 12, None)
    UNLOADING = (19, 1, 44, None)
    LED_ALARM = (20, 1, 47, None)
    P_GAIN = (21, 1, 32, None)
    D_GAIN = (22, 1, 32, None)
    I_GAIN = (23, 1, 0, None)
    START_FORCE = (24, 1, 16, None)
    CW_DEAD_ZONE = (26, 1, 1, None)
    CCW_DEAD_ZONE = (27, 1, 1, None)
    PROTECTION_CURRENT = (28, 2, 511, None)
    ANGULAR_RESOLUTION = (30, 1, 1, None)
    HOMING_OFFSET = (31, 2, 0, 11)
    MODE = (33, 1, 0, None)
    PROTECTIVE_TORQUE = (34, 1, 20, None)
    PROTECTION_TIME = (35, 1, 200, None)
    OVERLOAD_TORQUE = (36, 1, 80, None)
    VELOCITY_P_GAIN = (37, 1, 10, None)
    OVER_CURRENT_TIME = (38, 1, 200, None)
    VELOCITY_I_GAIN = (39, 1, 10, None)
    TORQUE_ENABLE = (40, 1, 0, None)
    ACCELERATION = (41, 1, 0, None)
    GOAL_POSITION = (42, 2, 0, 15)
    GOAL_TIME = (44, 2, 0, None)
    GOAL_VELOCITY = (46, 2, 0, 15)
    TORQUE_LIMIT = (48, 2, 1000, None)
    LOCK = (55, 1, 1, None)
    PRESENT_POSITION = (56, 2, 0, 15)
    PRESENT_VELOCITY = (58, 2, 0, 15)
    PRESENT_LOAD = (60, 2, 0, 10)
    PRESENT_VOLTAGE = (62, 1, 120, None)
    PRESENT_TEMPERATURE = (63, 1, 30, None)
    REGISTERED = (64, 1, 0, None)
    STATUS = (65, 1, 0, None)
    MOVING = (66, 1, 0, None)
    PRESENT_GOAL = (67, 2, 0, 15)
    PRESENT_CURRENT = (69, 2, 0, 15)

    def __init__(self, address: int, size: int, factory: int, sign_bit: int | None) -> None:
        self.address, self.size, self.factory, self.sign_bit = address, size, factory, sign_bit

    def encode(self, value: int) -> bytes:
        """Return the bytes of a value; its magnitude is cut to what the register holds."""
        if self.sign_bit is None:
            raw = min(max(value, 0), (1 << 8 * self.size) - 1)
        else:
            raw = min(abs(value), (1 << self.sign_bit) - 1) | ((value < 0) << self.sign_bit)
        return raw.to_bytes(self.size, "little")

    def decode(self, data: bytes) -> int:
        """Return the value of bytes."""
        raw = int.from_bytes(data, "little")
        if self.sign_bit is None:
            return raw
        magnitude = raw & ((1 << self.sign_bit) - 1)
        return -magnitude if raw >> self.sign_bit & 1 else magnitude


BAUD_RATES = (1_000_000, 500_000, 250_000, 128_000, 115_200, 76_800, 57_600, 38_400)
"""By the number in register 6 (Feetech's table; lerobot's differs from 5 on, and only ever writes 0)."""


def is_writable(address: int) -> bool:
    """Return whether a host may write here."""
    return address < TABLE_SIZE and not any(address in area for area in READ_ONLY)
