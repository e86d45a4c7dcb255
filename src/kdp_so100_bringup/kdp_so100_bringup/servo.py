"""One simulated STS3215: memory table, EEPROM, position sensing, goal following, torque.

Semantics from Feetech's e-manuals (see `registers` and `feetech_protocol`) and lerobot's driver:

- **Lock** (55): a write to the EEPROM area counts at once; without power it is kept only if the lock was open
  (0) when it was written.
- **Present position** = actual position - homing offset (31), rounded to ticks. With bit 4 of the phase
  register clear (factory, and what lerobot sets) it wraps to 0..4095; else it counts on, with a sign.
- **Limits** (9, 11): a goal outside is moved to the limit; both 0 means multi-turn, without limits.
- **Largest torque** (16) becomes the torque limit (48) at power-up only.
- **Torque** (40): 0 off, 1 on, 128: this position becomes 2048 by a new homing offset.
- **Reading and writing** never fail: what is beyond the table reads 0, what is read-only stays.

The manuals are silent on the following, so it is a choice made here: enabling torque holds the present
position unless a goal came since torque went off; in modes other than 0 (position) the servo holds;
acceleration 0 and 254 mean no ramp of its own beyond what the mechanics allow.
"""

from __future__ import annotations

import math

from kdp_so100_bringup.registers import (
    EEPROM,
    MIDDLE_TICK,
    TABLE_SIZE,
    TICKS_PER_TURN,
    Register,
    is_writable,
)
from kdp_so100_bringup.servo_protection import STALL_CURRENT_UNITS, Protection

MAX_SPEED = 3400.0
"""Ticks/s without load at 7.4 to 12 V (about 50 turns a minute)."""
CALIBRATE_VALUE = 128
BOOT_S = 0.8
MULTI_TURN_BIT = 0x10


class Servo:
    """Registers of one servo, and what follows from them. Positions are in ticks; actual ones do not wrap.

    Attributes:
        silent: it hears nothing and answers nothing (a fault, or a plug that came off).
        temperature_c, voltage_v: what its sensors see.
        setpoint: where its position loop drives the joint to, actual ticks.
    """

    def __init__(self, servo_id: int, position: float = float(MIDDLE_TICK)) -> None:
        self.silent = False
        self.temperature_c, self.voltage_v = 30.0, 12.0
        self.setpoint = position
        self.protection = Protection()
        self._actual = position
        self._turn_ticks = 0
        self._speed = 0.0
        self._booting_s = 0.0
        self._goal_written = False
        self._registered: tuple[int, bytes] | None = None
        self._memory = bytearray(256)
        for register in Register:
            self._set(register, register.factory)
        self._set(Register.ID, servo_id)
        self._kept = bytes(self._memory[EEPROM.start : EEPROM.stop])
        self._see_position(position)

    @property
    def id(self) -> int:
        """The present id."""
        return self._memory[Register.ID.address]

    @property
    def hears(self) -> bool:
        """Whether it takes part in the traffic."""
        return not self.silent and self._booting_s <= 0

    @property
    def status(self) -> int:
        """The error byte."""
        return self._memory[Register.STATUS.address]

    @property
    def powered(self) -> bool:
        """Whether the motor gets current."""
        return bool(self.get(Register.TORQUE_ENABLE) & 1) and not self.protection.off

    @property
    def torque_limit(self) -> float:
        """Largest torque as a share of the stall torque, 0 to 1."""
        share = min(self.get(Register.TORQUE_LIMIT), 1000) / 1000
        return min(share, self.get(Register.PROTECTIVE_TORQUE) / 100) if self.protection.overload else share

    def get(self, register: Register) -> int:
        """Return the value of a register."""
        return register.decode(self._memory[register.address : register.address + register.size])

    def configure(self, values: dict[Register, int]) -> None:
        """Put values into EEPROM for good, as whoever assembled the arm did."""
        for register, value in values.items():
            self._set(register, value)
        self._kept = bytes(self._memory[EEPROM.start : EEPROM.stop])
        self._see_position(self._actual)

    def read(self, address: int, size: int) -> bytes:
        """Return what a READ answers with; zeros beyond the table."""
        piece = bytes(self._memory[address : min(address + size, TABLE_SIZE)])
        return piece + bytes(size - len(piece))

    def write(self, address: int, data: bytes) -> None:
        """Do what a WRITE does."""
        before = self.get(Register.TORQUE_ENABLE)
        opened = self._memory[Register.LOCK.address] == 0
        for where, value in enumerate(data, address):
            if is_writable(where):
                self._memory[where] = value
        touched = range(address, address + len(data))
        if opened and address < EEPROM.stop:
            kept = bytearray(self._kept)
            for where in touched:
                if where in EEPROM:
                    kept[where - EEPROM.start] = self._memory[where]
            self._kept = bytes(kept)
        if Register.GOAL_POSITION.address in touched:
            self._goal_written = True
            self.protection.new_goal(self._goal() - self._actual)
        if Register.TORQUE_ENABLE.address in touched:
            self._switch_torque(before)
        self._see_position(self._actual)

    def register_write(self, address: int, data: bytes) -> None:
        """Keep a write until `action`."""
        self._registered = address, data
        self._set(Register.REGISTERED, 1)

    def action(self) -> None:
        """Execute the write that was kept, if any."""
        if self._registered is not None:
            self._set(Register.REGISTERED, 0)
            (address, data), self._registered = self._registered, None
            self.write(address, data)

    def calibrate(self, position: int = MIDDLE_TICK) -> None:
        """Make the present position read `position`, by a new homing offset."""
        offset = (round(self._actual) - position) % TICKS_PER_TURN
        if offset > TICKS_PER_TURN // 2 - 1:
            offset -= TICKS_PER_TURN
        self.write(Register.HOMING_OFFSET.address, Register.HOMING_OFFSET.encode(offset))

    def power_up(self, boot_s: float = 0.0) -> None:
        """Start again: what was kept comes back, torque is off, and it is deaf for `boot_s`."""
        servo_id, level = self.id, self.get(Register.PRESENT_VOLTAGE)
        for register in Register:
            self._set(register, register.factory)
        self._set(Register.ID, servo_id)
        self._set(Register.PRESENT_VOLTAGE, level)
        self._memory[EEPROM.start : EEPROM.stop] = self._kept
        self._set(Register.TORQUE_LIMIT, self.get(Register.MAX_TORQUE))
        self._registered, self._goal_written, self._booting_s = None, False, boot_s
        self.protection = Protection()
        self._see_position(self._actual)

    def place(self, position: float) -> None:
        """Put the joint somewhere, with the servo's goal there: the start of an episode."""
        self._actual = self.setpoint = position
        self._speed = 0.0
        self._see_position(position)
        self._hold()

    def advance(self, dt_s: float, position: float, speed: float, torque: float) -> None:
        """Sense and follow the goal for `dt_s`.

        Args:
            dt_s: since the last call.
            position: actual position, ticks.
            speed: ticks/s.
            torque: of the motor as a share of the stall torque, -1 to 1.
        """
        self._booting_s -= dt_s
        self._actual = position
        self._see_position(position)
        self._set(Register.PRESENT_VELOCITY, round(speed))
        self._set(Register.PRESENT_LOAD, round(1000 * torque))
        self._set(Register.PRESENT_CURRENT, round(torque * STALL_CURRENT_UNITS))
        self._set(Register.PRESENT_VOLTAGE, round(10 * self.voltage_v))
        self._set(Register.PRESENT_TEMPERATURE, round(self.temperature_c))
        self._set(Register.MOVING, int(abs(speed) > 10))
        self._set(Register.STATUS, int(self.protection.update(dt_s, torque, self.get)))
        self._follow(dt_s)

    def _follow(self, dt_s: float) -> None:
        """Move the setpoint towards the goal, no faster than the servo can."""
        if not self.powered:
            self.setpoint, self._speed = self._actual, 0.0
            return
        if self.get(Register.MODE) != 0:
            return
        left = self._goal() - self.setpoint
        wanted = abs(self.get(Register.GOAL_VELOCITY))
        fastest = min(wanted, MAX_SPEED) if wanted else MAX_SPEED
        ramp = self.get(Register.ACCELERATION)
        if 0 < ramp < 254:
            braking = math.sqrt(2 * 100.0 * ramp * abs(left))
            aim = math.copysign(min(fastest, braking), left)
            change = 100.0 * ramp * dt_s
            self._speed += min(max(aim - self._speed, -change), change)
        else:
            self._speed = math.copysign(fastest, left)
        step = self._speed * dt_s
        if abs(step) >= abs(left) and step * left >= 0:
            step, self._speed = left, 0.0
        self.setpoint += step

    def _goal(self) -> float:
        """Return the goal as an actual position."""
        goal = self.get(Register.GOAL_POSITION)
        low, high = self.get(Register.MIN_POSITION), self.get(Register.MAX_POSITION)
        if low or high:
            goal = min(max(goal, low), high)
        return float(goal + self._turn_ticks + self.get(Register.HOMING_OFFSET))

    def _hold(self) -> None:
        """Make the present position the goal."""
        self._set(Register.GOAL_POSITION, self.get(Register.PRESENT_POSITION))

    def _switch_torque(self, before: int) -> None:
        value = self.get(Register.TORQUE_ENABLE)
        if value == CALIBRATE_VALUE:
            self._set(Register.TORQUE_ENABLE, before)
            self.calibrate()
            return
        self.protection.reset()
        if value == 0:
            self._goal_written = False
        elif before == 0 and not self._goal_written:
            self._hold()

    def _see_position(self, position: float) -> None:
        unwrapped = round(position) - self.get(Register.HOMING_OFFSET)
        multi_turn = self.get(Register.PHASE) & MULTI_TURN_BIT
        shown = unwrapped if multi_turn else unwrapped % TICKS_PER_TURN
        self._turn_ticks = unwrapped - shown
        self._set(Register.PRESENT_POSITION, shown)

    def _set(self, register: Register, value: int) -> None:
        self._memory[register.address : register.address + register.size] = register.encode(value)
