"""One simulated STS3215: position sensing, goal following, torque.

Semantics from Feetech's e-manuals (see `registers`, `servo_memory`, `servo_protection`) and lerobot's driver:

- **Present position** = actual position - homing offset (31), rounded to ticks. With bit 4 of the phase
  register clear (factory, and what lerobot sets) it wraps to 0..4095; else it counts on, with a sign.
- **Limits** (9, 11): a goal outside is moved to the limit; both 0 means multi-turn, without limits.
- **Torque** (40): 0 off, 1 on, 128: this position becomes 2048 by a new homing offset.

The manuals are silent on the following, so it is a choice made here: enabling torque holds the present
position unless a goal came since torque went off; a goal does not switch torque on, unless `goal_wakes` is
set, for that is said of some firmware; in modes other than 0 (position) the servo holds; acceleration 0 and
254 mean no ramp of its own beyond what the mechanics allow.
"""

from __future__ import annotations

import math

from kdp_so100_bringup.registers import MIDDLE_TICK, TICKS_PER_TURN, Register
from kdp_so100_bringup.servo_memory import ServoMemory
from kdp_so100_bringup.servo_protection import STALL_CURRENT_UNITS, Limits, Protection

MAX_SPEED = 3400.0
"""Ticks/s without load at 7.4 to 12 V (about 50 turns a minute)."""
RAMP_UNIT = 100.0
"""Of the acceleration register, ticks/s^2."""
CALIBRATE_VALUE = 128
MULTI_TURN_BIT = 0x10
BOOT_S = 0.8


class Servo:
    """A servo. Positions are in ticks; actual ones do not wrap.

    `advance` runs for every batch of physics and only calculates; what a host may read is worked out when it
    does.

    Attributes:
        memory: its registers; read-only ones are those of the last `read`.
        silent: it hears nothing and answers nothing (a fault, or a plug that came off).
        temperature_c, voltage_v: what its sensors see.
        setpoint: where its position loop drives the joint to, actual ticks.
        powered: whether the motor gets current.
        torque_limit: largest torque as a share of the stall torque, 0 to 1.
    """

    def __init__(self, servo_id: int) -> None:
        self.memory = ServoMemory()
        self.memory.keep({Register.ID: servo_id})
        self.silent = self.goal_wakes = False
        self.temperature_c, self.voltage_v = 30.0, 12.0
        self.setpoint = float(MIDDLE_TICK)
        self.powered = False
        self.torque_limit = 1.0
        self._protection = Protection()
        self._actual, self._speed, self._torque = self.setpoint, 0.0, 0.0
        self._setpoint_speed = 0.0
        self._booting_s = 0.0
        self._goal_written = False
        self._registered: tuple[int, bytes] | None = None
        self._learn()

    @property
    def id(self) -> int:
        """The present id."""
        return self.memory.get(Register.ID)

    @property
    def hears(self) -> bool:
        """Whether it takes part in the traffic."""
        return not self.silent and self._booting_s <= 0

    @property
    def status(self) -> int:
        """The error byte."""
        return self._protection.status

    def read(self, address: int, size: int) -> bytes:
        """Return what a READ answers with."""
        self._show()
        return self.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Do what a WRITE does."""
        before = self.memory.get(Register.TORQUE_ENABLE)
        self.memory.write(address, data)
        touched = range(address, address + len(data))
        self._learn()
        if Register.GOAL_POSITION.address in touched:
            self._goal_written = True
            self._protection.new_goal(self._goal - self._actual)
            if self.goal_wakes and not before:
                self.memory.set(Register.TORQUE_ENABLE, 1)
                self._switch_torque(before)
        if Register.TORQUE_ENABLE.address in touched:
            self._switch_torque(before)

    def register_write(self, address: int, data: bytes) -> None:
        """Keep a write until `action`."""
        self._registered = address, data
        self.memory.set(Register.REGISTERED, 1)

    def action(self) -> None:
        """Execute the write that was kept, if any."""
        if self._registered is not None:
            self.memory.set(Register.REGISTERED, 0)
            (address, data), self._registered = self._registered, None
            self.write(address, data)

    def calibrate(self, position: int = MIDDLE_TICK) -> None:
        """Make the present position read `position`, by a new homing offset."""
        offset = (round(self._actual) - position) % TICKS_PER_TURN
        if offset >= TICKS_PER_TURN // 2:
            offset -= TICKS_PER_TURN
        self.write(Register.HOMING_OFFSET.address, Register.HOMING_OFFSET.encode(offset))

    def power_up(self, boot_s: float = 0.0) -> None:
        """Start again: what was kept comes back, torque is off, and it is deaf for `boot_s`."""
        self.memory.power_up()
        self._registered, self._goal_written, self._booting_s = None, False, boot_s
        self._protection = Protection()
        self._learn()

    def place(self, position: float) -> None:
        """Put the joint somewhere, with the servo's goal there: the start of an episode."""
        self._actual = self.setpoint = position
        self._speed = self._setpoint_speed = self._torque = 0.0
        self._learn()
        self._hold()

    def advance(self, dt_s: float, position: float, speed: float, torque: float) -> None:
        """Sense, and follow the goal, for `dt_s`.

        Args:
            dt_s: since the last call.
            position: actual position, ticks.
            speed: ticks/s.
            torque: of the motor as a share of the stall torque, -1 to 1.
        """
        self._booting_s -= dt_s
        self._actual, self._speed, self._torque = position, speed, torque
        self._protection.update(dt_s, torque, self.voltage_v, self.temperature_c, self._limits)
        self._power()
        if not self.powered:
            self.setpoint, self._setpoint_speed = position, 0.0
        elif self._follows:
            self._follow(dt_s)

    def _follow(self, dt_s: float) -> None:
        """Move the setpoint towards the goal, no faster than the servo can."""
        left = self._goal - self.setpoint
        if self._ramp > 0:
            aim = math.copysign(min(self._fastest, math.sqrt(2 * self._ramp * abs(left))), left)
            change = self._ramp * dt_s
            self._setpoint_speed += min(max(aim - self._setpoint_speed, -change), change)
        else:
            self._setpoint_speed = math.copysign(self._fastest, left)
        step = self._setpoint_speed * dt_s
        if abs(step) >= abs(left) and step * left >= 0:
            step, self._setpoint_speed = left, 0.0
        self.setpoint += step

    def _learn(self) -> None:
        """Take over what the registers say now."""
        get = self.memory.get
        self._offset = get(Register.HOMING_OFFSET)
        self._multi_turn = bool(get(Register.PHASE) & MULTI_TURN_BIT)
        self._follows = get(Register.MODE) == 0
        wanted = abs(get(Register.GOAL_VELOCITY))
        self._fastest = min(wanted, MAX_SPEED) if wanted else MAX_SPEED
        ramp = get(Register.ACCELERATION)
        self._ramp = RAMP_UNIT * ramp if ramp < 254 else 0.0
        self._enabled = bool(get(Register.TORQUE_ENABLE) & 1)
        self._set_limit = min(get(Register.TORQUE_LIMIT), 1000) / 1000
        self._protective = get(Register.PROTECTIVE_TORQUE) / 100
        self._limits = Limits.from_memory(self.memory)
        self._aim()
        self._power()

    def _aim(self) -> None:
        """Find the goal as an actual position, on the turn that the joint is on."""
        goal = self.memory.get(Register.GOAL_POSITION)
        low, high = self.memory.get(Register.MIN_POSITION), self.memory.get(Register.MAX_POSITION)
        if low or high:
            goal = min(max(goal, low), high)
        self._goal = round(self._actual) - self._present() + goal

    def _power(self) -> None:
        self.powered = self._enabled and not self._protection.off
        self.torque_limit = self._protection.torque_limit(self._set_limit, self._protective, self._limits)

    def _hold(self) -> None:
        """Make the present position the goal."""
        self.memory.set(Register.GOAL_POSITION, self._present())
        self._aim()

    def _switch_torque(self, before: int) -> None:
        value = self.memory.get(Register.TORQUE_ENABLE)
        if value == CALIBRATE_VALUE:
            self.memory.set(Register.TORQUE_ENABLE, before)
            self.calibrate()
            return
        self._protection.reset()
        if value == 0:
            self._goal_written = False
        elif before == 0 and not self._goal_written:
            self._hold()
        self._power()

    def _present(self) -> int:
        """Return the present position."""
        unwrapped = round(self._actual) - self._offset
        return unwrapped if self._multi_turn else unwrapped % TICKS_PER_TURN

    def _show(self) -> None:
        """Bring the read-only registers up to date."""
        put = self.memory.set
        put(Register.PRESENT_POSITION, self._present())
        put(Register.PRESENT_VELOCITY, round(self._speed))
        put(Register.PRESENT_LOAD, round(1000 * self._torque))
        put(Register.PRESENT_VOLTAGE, round(10 * self.voltage_v))
        put(Register.PRESENT_TEMPERATURE, round(self.temperature_c))
        put(Register.STATUS, self._protection.status)
        put(Register.MOVING, int(abs(self._speed) > 10))
        put(Register.PRESENT_GOAL, self.memory.get(Register.GOAL_POSITION))
        put(Register.PRESENT_CURRENT, round(self._torque * STALL_CURRENT_UNITS))
