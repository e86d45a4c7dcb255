"""Calibration in lerobot's JSON format, and the way between servo ticks and radians.

The file is what ``lerobot-calibrate`` writes: joint name -> id, drive_mode, homing_offset, range_min,
range_max (ticks; 4096 a turn). lerobot records the range by moving each joint from stop to stop, so the
middle of the recorded range is taken as the middle of the joint's limits; drive_mode 1 turns the direction.
Homing offset and range are also in each servo's EEPROM, where present position = actual - homing offset: a
file that does not belong to the arm shows there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdp_core.exceptions import ConfigError
from kdp_core.files import load_json
from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD

TICKS_PER_TURN = 4096
TICK_RAD = 2.0 * math.pi / TICKS_PER_TURN
MAX_OFFSET = 2047  # sign bit 11 of the register
_FIELDS = {
    "id": (1, 253),
    "drive_mode": (0, 1),
    "homing_offset": (-MAX_OFFSET, MAX_OFFSET),
    "range_min": (0, TICKS_PER_TURN - 1),
    "range_max": (0, TICKS_PER_TURN - 1),
}


@dataclass(frozen=True)
class MotorCalibration:
    """One joint, fields as in lerobot."""

    id: int
    drive_mode: int
    homing_offset: int
    range_min: int
    range_max: int

    @property
    def registers(self) -> tuple[int, int, int]:
        """What the servo's EEPROM must hold: homing offset, minimum and maximum position limit."""
        return self.homing_offset, self.range_min, self.range_max


class Calibration:
    """All joints in the order of JOINTS.

    Attributes:
        motors: (6) calibrations.
        low, high: (6) rad, limits of the joints that the servos' ranges can reach.
    """

    def __init__(self, motors: Sequence[MotorCalibration]) -> None:
        self.motors = tuple(motors)
        self._sign = [-1.0 if motor.drive_mode else 1.0 for motor in self.motors]
        self._mid_ticks = [0.5 * (motor.range_min + motor.range_max) for motor in self.motors]
        self._mid_rad = [0.5 * (low + high) for low, high in zip(LOW_RAD, HIGH_RAD, strict=True)]
        half = [0.5 * (motor.range_max - motor.range_min) * TICK_RAD for motor in self.motors]
        self.low = tuple(max(float(a), m - h) for a, m, h in zip(LOW_RAD, self._mid_rad, half, strict=True))
        self.high = tuple(min(float(a), m + h) for a, m, h in zip(HIGH_RAD, self._mid_rad, half, strict=True))

    @property
    def ids(self) -> tuple[int, ...]:
        """Servo ids (6)."""
        return tuple(motor.id for motor in self.motors)

    def to_rad(self, ticks: Sequence[int]) -> tuple[float, ...]:
        """Present positions (6) ticks -> rad."""
        return tuple(
            float(mid + sign * (tick - middle) * TICK_RAD)
            for tick, mid, sign, middle in zip(ticks, self._mid_rad, self._sign, self._mid_ticks, strict=True)
        )

    def to_ticks(self, joints: Sequence[float]) -> list[int]:
        """Joint positions (6) rad -> ticks, kept within each servo's range."""
        ticks = []
        for i, motor in enumerate(self.motors):
            exact = self._mid_ticks[i] + self._sign[i] * (joints[i] - self._mid_rad[i]) / TICK_RAD
            ticks.append(min(max(round(exact), motor.range_min), motor.range_max))
        return ticks

    def speed(self, ticks_per_s: Sequence[float]) -> tuple[float, ...]:
        """Speeds (6) ticks/s -> rad/s."""
        return tuple(sign * v * TICK_RAD for sign, v in zip(self._sign, ticks_per_s, strict=True))

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a calibration file. Raises ConfigError naming file, joint and field."""
        try:
            path = Path(path).expanduser()
        except RuntimeError as error:  # the home of a user who does not exist
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        content = load_json(path)
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected an object with one entry per joint, {', '.join(JOINTS)}")
        motors = [_motor(path, name, content.get(name)) for name in JOINTS]
        unknown = sorted(set(content) - set(JOINTS))
        if unknown:
            raise ConfigError(f"{path}: unknown joint '{unknown[0]}'; expected {', '.join(JOINTS)}")
        if len({motor.id for motor in motors}) < len(motors):
            raise ConfigError(f"{path}: two joints have the same id: {[motor.id for motor in motors]}")
        return cls(motors)

    def save(self, path: str | Path) -> None:
        """Write the file as lerobot does."""
        rows = {name: vars(motor) for name, motor in zip(JOINTS, self.motors, strict=True)}
        Path(path).write_text(json.dumps(rows, indent=4) + "\n", encoding="utf-8")


def _motor(path: Path, name: str, entry: object) -> MotorCalibration:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{path}: joint '{name}' is missing or not an object")
    values = {}
    for field, (low, high) in _FIELDS.items():
        value = entry.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(
                f"{path}: {name}.{field} must be a whole number from {low} to {high}, got {value!r}"
            )
        values[field] = value
    if not values["range_min"] < values["range_max"]:
        raise ConfigError(f"{path}: {name}.range_min must be below range_max, got {values['range_min']}")
    return MotorCalibration(**values)


def mismatch(calibration: Calibration, registers: Sequence[tuple[int, int, int]]) -> str:
    """First difference between file and servos (6 x homing offset, min, max), "" if there is none."""
    names = ("homing_offset", "range_min", "range_max")
    for joint, motor, found in zip(JOINTS, calibration.motors, registers, strict=True):
        for name, expected, value in zip(names, motor.registers, found, strict=True):
            if expected != value:
                return f"{joint}.{name} is {value} in the servo and {expected} in the calibration file"
    return ""
