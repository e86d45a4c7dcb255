"""lerobot's calibration files: ticks and radians, the limits that follow, and every way to be wrong."""

import json
import math

import numpy as np
import pytest

from kdp_core.exceptions import ConfigError
from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_so100_bringup.calibration import Calibration, MotorCalibration, mismatch
from kdp_so100_bringup.sim_arm import arm_calibration


@pytest.fixture
def content(tmp_path):
    """A file as lerobot-calibrate writes it."""
    return {
        name: {"id": i + 1, "drive_mode": 0, "homing_offset": 10 * i, "range_min": 700, "range_max": 3300}
        for i, name in enumerate(JOINTS)
    }


def write(tmp_path, content):
    path = tmp_path / "arm.json"
    path.write_text(json.dumps(content))
    return path


def test_the_middle_of_the_range_is_the_middle_of_the_limits(tmp_path, content):
    calibration = Calibration.load(write(tmp_path, content))
    np.testing.assert_allclose(calibration.to_rad([2000] * 6), 0.5 * (LOW_RAD + HIGH_RAD), atol=1e-12)
    assert calibration.to_ticks(0.5 * (LOW_RAD + HIGH_RAD)) == [2000] * 6


def test_a_turn_has_4096_ticks(tmp_path, content):
    calibration = Calibration.load(write(tmp_path, content))
    quarter = np.array(calibration.to_rad([2000 + 1024] * 6)) - calibration.to_rad([2000] * 6)
    np.testing.assert_allclose(quarter, math.pi / 2, atol=1e-12)
    np.testing.assert_allclose(calibration.speed([4096.0] * 6), 2 * math.pi)


def test_there_and_back_within_half_a_tick(tmp_path, content):
    content["elbow_flex"]["drive_mode"] = 1
    calibration = Calibration.load(write(tmp_path, content))
    rng = np.random.default_rng(0)
    for _ in range(50):
        joints = rng.uniform(calibration.low, calibration.high)
        back = np.array(calibration.to_rad(calibration.to_ticks(joints)))
        assert np.abs(back - joints).max() <= 0.5 * 2 * math.pi / 4096 + 1e-12


def test_drive_mode_turns_the_direction(tmp_path, content):
    content["gripper"]["drive_mode"] = 1
    calibration = Calibration.load(write(tmp_path, content))
    step = np.array(calibration.to_rad([2001] * 6)) - calibration.to_rad([2000] * 6)
    assert (np.sign(step) == [1, 1, 1, 1, 1, -1]).all()
    assert calibration.speed([1.0] * 6)[5] < 0 < calibration.speed([1.0] * 6)[4]


def test_goals_stay_in_the_servos_range(tmp_path, content):
    calibration = Calibration.load(write(tmp_path, content))
    assert calibration.to_ticks([9.0] * 6) == [3300] * 6
    assert calibration.to_ticks([-9.0] * 6) == [700] * 6


def test_limits_are_the_narrower_of_joint_and_servo(tmp_path, content):
    content["shoulder_pan"] |= {"range_min": 1488, "range_max": 2512}  # +- 1/8 turn around the middle
    calibration = Calibration.load(write(tmp_path, content))
    assert calibration.high[0] == pytest.approx(math.pi / 4) and calibration.low[0] == pytest.approx(
        -math.pi / 4
    )
    assert calibration.high[3] == HIGH_RAD[3]  # the range reaches farther than the joint


def test_a_saved_file_is_the_same_calibration(tmp_path):
    path = tmp_path / "arm.json"
    arm_calibration().save(path)
    assert Calibration.load(path).motors == arm_calibration().motors
    assert list(json.loads(path.read_text())["gripper"]) == [
        "id", "drive_mode", "homing_offset", "range_min", "range_max",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("joint", "field", "value", "named"),
    [
        ("elbow_flex", "id", 0, "elbow_flex.id"),
        ("elbow_flex", "id", 1, "same id"),
        ("gripper", "drive_mode", 2, "gripper.drive_mode"),
        ("gripper", "homing_offset", 2048, "gripper.homing_offset"),
        ("gripper", "range_min", -1, "gripper.range_min"),
        ("gripper", "range_max", 4096, "gripper.range_max"),
        ("gripper", "range_max", 700, "below range_max"),
        ("wrist_roll", "range_max", 3000.5, "wrist_roll.range_max"),
        ("wrist_roll", "range_max", True, "wrist_roll.range_max"),
        ("wrist_roll", "range_max", None, "wrist_roll.range_max"),
    ],
)
def test_wrong_values_are_one_line(tmp_path, content, joint, field, value, named):
    content[joint][field] = value
    with pytest.raises(ConfigError, match=named) as told:
        Calibration.load(write(tmp_path, content))
    assert "arm.json" in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("wrist_flex"), "wrist_flex"),
        (lambda c: c.update(thumb=c["gripper"]), "unknown joint 'thumb'"),
        (lambda c: c.update(gripper=[1, 2]), "gripper"),
    ],
)
def test_wrong_joints_are_one_line(tmp_path, content, change, named):
    change(content)
    with pytest.raises(ConfigError, match=named):
        Calibration.load(write(tmp_path, content))


def test_unreadable_files_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Calibration.load(tmp_path / "none.json")
    for text in ("{", "[1]", "[" * 100_000, '{"a":' * 50_000, '{"a": ' + "9" * 5000 + "}", "\0", "\ufeff{}"):
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"bad\.json") as told:
            Calibration.load(path)
        assert "\n" not in str(told.value)
    for name in ("~nosuchuser/arm.json", "/tmp/a\0b.json", f"/tmp/{'a' * 5000}"):
        with pytest.raises(ConfigError, match="cannot be read"):
            Calibration.load(name)


def test_the_first_difference_to_the_servos_is_named():
    calibration = arm_calibration()
    registers = [motor.registers for motor in calibration.motors]
    assert mismatch(calibration, registers) == ""
    registers[3] = (registers[3][0], registers[3][1] + 1, registers[3][2])
    low = calibration.motors[3].range_min
    assert mismatch(calibration, registers) == (
        f"wrist_flex.range_min is {low + 1} in the servo and {low} in the calibration file"
    )


def test_drive_mode_is_not_in_the_servo():
    motors = [MotorCalibration(m.id, 1, *m.registers) for m in arm_calibration().motors]
    assert mismatch(Calibration(motors), [m.registers for m in arm_calibration().motors]) == ""
