"""Units of joints: declared, said by the user, or refused; conversions against lerobot's own formulas."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from kdp_core.datasets import Episode, open_episodes, write_lerobot
from kdp_core.exceptions import DataError
from kdp_core.prepare import prepare
from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_core.tasks.generic import generic_task

LIMITS_RAD = dict(zip(JOINTS, zip(LOW_RAD, HIGH_RAD, strict=True), strict=True))
NAMES = [f"{joint}.pos" for joint in JOINTS]


def write(path: Path, values: np.ndarray, unit: str | None, names: list[str] | None = NAMES) -> Path:
    """Each row of values (T, 6) as state and action; without a unit as lerobot itself records."""
    no = np.zeros(len(values), bool)
    episode = Episode(values.astype("f4"), values.astype("f4"), np.zeros(len(values)), no, no)
    labels = {"observation.state": names, "action": names} if names else {}
    write_lerobot(path, [episode], 30, unit or "rad", labels)
    if unit is None:
        info = json.loads((path / "meta/info.json").read_text())
        del info["kdp"]
        (path / "meta/info.json").write_text(json.dumps(info))
    return path


def ticks(joint: str, rad: float) -> float:
    """Encoder ticks with 2048 at the model's zero, as the simulated arm has them."""
    return 2048 + rad * 4096 / (2 * math.pi)


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    """lerobot's file for an arm whose calibrated ranges are its limits; one joint mounted in reverse."""
    content = {
        joint: {
            "id": number + 1,
            "drive_mode": int(joint == "elbow_flex"),
            "homing_offset": 0,
            "range_min": round(ticks(joint, low)),
            "range_max": round(ticks(joint, high)),
        }
        for number, (joint, (low, high)) in enumerate(LIMITS_RAD.items())
    }
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(content))
    return path


def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return LOW_RAD + rng.random((8, 6)) * (HIGH_RAD - LOW_RAD)


def test_declared_radians_come_back(tmp_path: Path) -> None:
    episodes = open_episodes(write(tmp_path / "arm", rows(), "rad"))
    assert episodes.unit == "rad"
    np.testing.assert_array_equal(episodes[0].actions, rows().astype("f4"))


def test_normalised_values_become_radians(tmp_path: Path, calibration: Path) -> None:
    """lerobot: (ticks - min) / (max - min) * 200 - 100, for the gripper * 100; drive_mode turns the sign."""
    ranges = json.loads(calibration.read_text())
    recorded = np.empty((8, 6))
    for column, (joint, entry) in enumerate(ranges.items()):
        reverse = entry["drive_mode"]
        for row, rad in enumerate(rows()[:, column]):
            mirrored = sum(LIMITS_RAD[joint]) - rad if reverse else rad
            share = (ticks(joint, mirrored) - entry["range_min"]) / (entry["range_max"] - entry["range_min"])
            value = share * 100 if joint == "gripper" else share * 200 - 100
            recorded[row, column] = -value if reverse else value
    episode = open_episodes(write(tmp_path / "arm", recorded, None), None, "normalized", calibration)[0]
    np.testing.assert_allclose(episode.actions, rows(), atol=2e-3)  # a tick is 1.5e-3 rad
    np.testing.assert_array_equal(episode.channels()["observation.state"], episode.actions)


def test_degrees(tmp_path: Path, calibration: Path) -> None:
    plain = open_episodes(write(tmp_path / "plain", np.degrees(rows()), None), None, "deg")[0]
    np.testing.assert_allclose(plain.actions, rows(), atol=1e-5)
    middle = (LOW_RAD + HIGH_RAD) / 2
    recorded = (rows() - middle) * 4096 / (2 * np.pi) * 360 / 4095  # use_degrees: about the range's middle
    recorded[:, JOINTS.index("elbow_flex")] *= -1  # where drive_mode does not count
    low, high = LIMITS_RAD["gripper"]
    recorded[:, 5] = (rows()[:, 5] - low) / (high - low) * 100
    episode = open_episodes(write(tmp_path / "lerobot", recorded, None), None, "deg", calibration)[0]
    np.testing.assert_allclose(episode.actions, rows(), atol=2e-3)


def test_raw_is_left_as_it_is_and_fits_no_task_in_radians(tmp_path: Path) -> None:
    episodes = open_episodes(write(tmp_path / "arm", rows(), None), data_unit="raw")
    np.testing.assert_array_equal(episodes[0].actions, rows().astype("f4"))
    assert episodes.unit == "as in the data"
    task = generic_task(open_episodes(write(tmp_path / "rad", rows(), "rad")), 4)
    with pytest.raises(DataError, match="state and action are in 'as in the data', expected 'rad'"):
        prepare(episodes, task)


@pytest.mark.parametrize(
    ("declared", "said", "names", "message"),
    [
        (None, None, NAMES, r"does not say the unit .*--data-unit rad, deg, normalized"),
        (None, "metres", NAMES, "data_unit is 'metres', expected one of rad, deg, normalized, raw"),
        ("rad", "deg", NAMES, "kdp.unit is 'rad', but --data-unit says 'deg'"),
        (None, "normalized", NAMES, "needs lerobot's calibration file"),
        (None, "normalized+", None, "feature 'observation.state' has no names"),
        (
            None,
            "normalized+",
            [f"wheel_{i}" for i in range(6)],
            "joint 'wheel_0' of .* is not one of shoulder",
        ),
    ],
)
def test_nothing_is_guessed(
    tmp_path: Path, calibration: Path, declared: str, said: str, names: list[str], message: str
) -> None:
    path = write(tmp_path / "arm", rows(), declared, names)
    given = calibration if said and said.endswith("+") else None
    with pytest.raises(DataError, match=message) as caught:
        open_episodes(path, None, said and said.rstrip("+"), given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected lerobot's calibration"),
        ('{"gripper": 3}', "joint 'gripper' has range_min None"),
        ('{"gripper": {"range_min": 9, "range_max": 9}}', "expected ticks, min < max"),
        ("", "not JSON"),
    ],
)
def test_broken_calibrations(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "arm.json").write_text(content)
    path = write(tmp_path / "arm", rows(), None)
    with pytest.raises(DataError, match=message):
        open_episodes(path, None, "normalized", tmp_path / "arm.json")
