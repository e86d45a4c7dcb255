"""Memory table of one simulated STS3215 and its EEPROM.

From Feetech's memory table and protocol manual: a write to the EEPROM area counts at once, and is kept
without power only if the lock (55) was open (0) when it came; the largest torque (16) becomes the torque
limit (48) at power-up. Reading and writing never fail: what is beyond the table reads 0, what is read-only
stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from kdp_so100_bringup.registers import EEPROM, TABLE_SIZE, Register, is_writable


class ServoMemory:
    """Bytes of a servo, with its registers by name."""

    def __init__(self) -> None:
        self._bytes = bytearray(256)
        for register in Register:
            self.set(register, register.factory)
        self.keep()

    def get(self, register: Register) -> int:
        """Return the value of a register."""
        return register.decode(self._bytes[register.address : register.address + register.size])

    def set(self, register: Register, value: int) -> None:
        """Set a register, read-only ones too: what the servo itself does."""
        self._bytes[register.address : register.address + register.size] = register.encode(value)

    def read(self, address: int, size: int) -> bytes:
        """Return what a READ answers with."""
        piece = bytes(self._bytes[address : min(address + size, TABLE_SIZE)])
        return piece + bytes(size - len(piece))

    def write(self, address: int, data: bytes) -> None:
        """Do what a WRITE does to memory."""
        opened = self.get(Register.LOCK) == 0
        for where, value in enumerate(data, address):
            if is_writable(where):
                self._bytes[where] = value
                if opened and where in EEPROM:
                    self._kept[where - EEPROM.start] = value

    def keep(self, values: Mapping[Register, int] | None = None) -> None:
        """Set registers and keep the whole EEPROM area, as whoever assembled the arm did."""
        for register, value in (values or {}).items():
            self.set(register, value)
        self._kept = bytearray(self._bytes[EEPROM.start : EEPROM.stop])

    def power_up(self) -> None:
        """Lose everything that was not kept."""
        for register in Register:
            self.set(register, register.factory)
        self._bytes[EEPROM.start : EEPROM.stop] = self._kept
        self.set(Register.TORQUE_LIMIT, self.get(Register.MAX_TORQUE))
