"""Units of the joints in a LeRobotDataset: what the data set declares or the user says, never a guess.

lerobot records an SO-100 in values of its own: -100..100 over each joint's calibrated range and 0..100 for
the gripper, or degrees about the middle of that range. Either becomes radians through the calibration file,
with the middle of the calibrated range at the middle of the joint's limits and 4096 encoder ticks to a turn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kdp_core.datasets.episodes import Episode
from kdp_core.datasets.lerobot_format import ACTION, INFO, STATE, UNIT_KEY, Info
from kdp_core.exceptions import DataError
from kdp_core.files import load_json
from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD

DataUnit = Literal["rad", "deg", "normalized", "raw"]
RAW = "as in the data"
TICKS_PER_TURN = 4096
GRIPPER = "gripper"
_DEGREE_RAD = (TICKS_PER_TURN - 1) / TICKS_PER_TURN * math.pi / 180
"""lerobot divides the turn by the largest tick, 4095."""
_MIDDLE_RAD = dict(zip(JOINTS, (LOW_RAD + HIGH_RAD) / 2, strict=True))


@dataclass(frozen=True)
class Affine:
    """``value * scale + offset`` per number, (d,) each."""

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Convert (..., d)."""
        return (values * self.scale + self.offset).astype(np.float32)


@dataclass(frozen=True)
class JointUnits:
    """How state and action become what ``unit`` says; None where they already are."""

    unit: str
    state: Affine | None = None
    action: Affine | None = None

    @classmethod
    def of(cls, info: Info, where: str, data_unit: str | None, calibration: str | Path | None) -> JointUnits:
        """Decide the conversion.

        Args:
            info: the data set's info.json.
            where: beginning of an error's line.
            data_unit: ``rad``; ``deg``: from the model's zero, or with a calibration file as lerobot records
                them with use_degrees; ``normalized``: lerobot's -100..100, needs the calibration file;
                ``raw``: leave the numbers as they are. None: what the data set declares.
            calibration: lerobot's calibration file of the arm that the data were recorded with.

        Raises:
            DataError: nobody says the unit, both say different ones, or the calibration does not fit.
        """
        declared = info.unit
        if data_unit is not None and data_unit not in get_args(DataUnit):
            raise DataError(f"data_unit is {data_unit!r}, expected one of {', '.join(get_args(DataUnit))}")
        if declared is None and data_unit is None:
            raise DataError(
                f"{where}/{INFO}: does not say the unit of '{STATE}' and '{ACTION}' ({UNIT_KEY}.unit); "
                "say it with --data-unit rad, deg, normalized (with --calibration FILE) or raw"
            )
        if declared is not None and data_unit not in (None, "raw", declared):
            raise DataError(
                f"{where}/{INFO}: {UNIT_KEY}.unit is {declared!r}, but --data-unit says {data_unit!r}"
            )
        unit = data_unit or declared
        assert unit is not None
        if unit == "raw":
            return cls(declared or RAW)
        if unit not in ("deg", "normalized"):
            return cls(unit)
        ranges = None if calibration is None else load_calibration(Path(calibration))
        if unit == "normalized" and ranges is None:
            raise DataError(
                f"{where}: unit 'normalized' needs lerobot's calibration file: --calibration FILE"
            )
        state, action = (_affine(info, name, unit, ranges, where) for name in (STATE, ACTION))
        return cls("rad", state, action)

    def convert(self, episode: Episode, state: str) -> Episode:
        """The episode with its state channel and its actions converted."""
        if self.state is None or self.action is None:
            return episode
        observations = dict(episode.channels())
        observations[state] = self.state(observations[state])
        return replace(episode, observations=observations, actions=self.action(episode.actions))


@dataclass(frozen=True)
class Range:
    """One joint's calibration: half of its range, rad, and 1 or -1 (drive_mode 1: the servo turns back)."""

    half: float
    sign: float


def load_calibration(path: Path) -> dict[str, Range]:
    """Calibrated ranges by joint.

    Raises:
        DataError: the file is missing or not lerobot's (joint -> range_min, range_max in ticks, drive_mode).
    """
    content = load_json(path, DataError)
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected lerobot's calibration, an object with one entry per joint")
    ranges = {}
    for joint, entry in content.items():
        values = entry if isinstance(entry, dict) else {}
        low, high, mode = (values.get(key) for key in ("range_min", "range_max", "drive_mode"))
        if type(low) is not int or type(high) is not int or not low < high or mode not in (0, 1):
            raise DataError(
                f"{path}: joint '{joint}' has range_min {low!r}, range_max {high!r} and drive_mode {mode!r}, "
                "expected ticks, min < max, and 0 or 1"
            )
        ranges[joint] = Range((high - low) * math.pi / TICKS_PER_TURN, -1.0 if mode else 1.0)
    return ranges


def _affine(info: Info, name: str, unit: str, ranges: dict[str, Range] | None, where: str) -> Affine:
    feature = info.features[name]
    if ranges is None:
        size = feature.shape[0]
        return Affine(np.full(size, math.pi / 180), np.zeros(size))
    if feature.names is None:
        raise DataError(f"{where}/{INFO}: feature '{name}' has no names, so its joints are unknown")
    scale, offset = [], []
    for joint in (text.removesuffix(".pos") for text in feature.names):
        if joint not in JOINTS or joint not in ranges:
            raise DataError(
                f"{where}/{INFO}: joint '{joint}' of '{name}' is not one of "
                f"{', '.join(j for j in JOINTS if j in ranges)} (SO-100, in the calibration file)"
            )
        if joint == GRIPPER:  # 0..100 in every mode of lerobot
            scale.append(ranges[joint].half / 50)
            offset.append(_MIDDLE_RAD[joint] - ranges[joint].half)
        else:  # lerobot turns the sign by drive_mode in its normalised values, but not in its degrees
            scale.append(ranges[joint].sign * _DEGREE_RAD if unit == "deg" else ranges[joint].half / 100)
            offset.append(_MIDDLE_RAD[joint])
    return Affine(np.array(scale), np.array(offset))
