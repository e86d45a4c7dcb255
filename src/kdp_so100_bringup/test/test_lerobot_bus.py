"""lerobot's own motor bus and robot class drive the simulated arm, in lerobot's environment."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from arm_processes import simulator, wait_until
from host_processes import LEROBOT_PYTHON, host

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.sim_arm import arm_calibration

OWN = {name: vars(motor) for name, motor in zip(JOINTS, arm_calibration().motors, strict=True)}
START = [0.0, -1.2, 1.6, 1.0, 0.0, 0.5]


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    with simulator(tmp_path_factory.mktemp("arm"), "--scene", "joints") as (port, side):
        yield port, side


@pytest.fixture(scope="module")
def program(arm, tmp_path_factory):
    """A host program on lerobot; the calibration file so100.json is the arm's own."""
    if not LEROBOT_PYTHON.exists():
        pytest.skip("lerobot is not installed: there is no .venv-lerobot (make lerobot-env)")
    folder = tmp_path_factory.mktemp("calibration")
    (folder / "so100.json").write_text(json.dumps(OWN))
    with host("lerobot_host.py", arm[0], folder, python=LEROBOT_PYTHON) as program:
        assert program.answer() == "ready"
        yield program


@pytest.fixture
def lerobot(arm, program):
    """The program with a new bus, the arm powered anew and at its start."""
    arm[1].request("power_cycle")
    arm[1].request("reset", scene={"joints": START})
    assert program.start() is None
    return program


def close_to(goal, tolerance=1.0):
    return pytest.approx(goal, abs=tolerance)


def test_the_handshake_finds_all_motors(lerobot):
    assert lerobot.connect() is True
    assert lerobot.read("Model_Number", "gripper") == 777
    assert lerobot.broadcast_ping() == {str(i): 777 for i in range(1, 7)}


def test_calibration_is_read_as_it_is_and_written_as_it_is_meant(lerobot, arm):
    lerobot.connect()
    assert lerobot.read_calibration() == OWN
    lerobot.disable_torque()  # opens the lock as well
    other = {name: {**row, "homing_offset": row["homing_offset"] - 7} for name, row in OWN.items()}
    before = lerobot.sync_read("Present_Position")
    assert lerobot.write_calibration(other) is True
    assert lerobot.sync_read("Present_Position") == {name: tick + 7 for name, tick in before.items()}
    arm[1].request("power_cycle")
    assert lerobot.read_calibration() == other
    lerobot.disable_torque()
    assert lerobot.write_calibration(OWN) is True


def test_half_turn_homing_makes_this_pose_the_middle(lerobot):
    lerobot.connect()
    lerobot.disable_torque()
    lerobot.set_half_turn_homings()
    assert lerobot.sync_read("Present_Position") == dict.fromkeys(JOINTS, 2047)
    assert lerobot.write_calibration(OWN) is True


def test_the_bus_moves_the_arm(lerobot, arm):
    lerobot.connect()
    lerobot.enable_torque()
    start = lerobot.sync_read("Present_Position")
    goal = {name: tick + (60 if i % 2 else -60) for i, (name, tick) in enumerate(start.items())}
    lerobot.sync_write("Goal_Position", goal)
    wait_until(lambda: lerobot.sync_read("Present_Position") == close_to(goal), 2.0, "the goal")
    moved = [new - old for new, old in zip(arm[1].truth()["joints"], START, strict=True)]
    assert moved == pytest.approx([-0.092, 0.092] * 3, abs=0.004)
    lerobot.disconnect()
    assert arm[1].truth()["torque"] == [False] * 6


def test_the_follower_connects_without_asking_and_drives_the_arm(lerobot, arm):
    assert lerobot.follower(False) is True
    seen = lerobot.observe()
    target = {name: value + 5.0 for name, value in seen.items()}  # degrees; the gripper 0..100
    assert lerobot.act(target) == target
    wait_until(lambda: lerobot.observe() == close_to(target, 0.3), 2.0, "the goal")
    assert arm[1].truth()["torque"] == [True] * 6
    lerobot.leave()


def test_a_silent_motor_fails_the_handshake_with_its_id(lerobot, arm):
    arm[1].request("servo", servo=4, silent=True)
    try:
        failure = lerobot.connect()
    finally:
        arm[1].request("servo", servo=4, silent=False)
    assert failure["raised"] == "RuntimeError" and "Missing motor IDs:\n  - 4 " in failure["text"]


def test_an_error_byte_is_raised(lerobot, arm):
    lerobot.connect()
    arm[1].request("servo", servo=2, celsius=80.0)
    try:
        wait_until(lambda: isinstance(lerobot.read("P_Coefficient", "shoulder_lift"), dict), 1.0, "the error")
        failure = lerobot.read("P_Coefficient", "shoulder_lift")
    finally:
        arm[1].request("servo", servo=2, celsius=30.0)
    assert failure["raised"] == "RuntimeError" and "Overheat" in failure["text"]


def test_a_pulled_cable_is_raised(lerobot, arm):
    lerobot.connect()
    arm[1].request("cable", plugged=False)
    wait_until(lambda: not Path(arm[0]).is_symlink(), 1.0, "the pulled cable")
    failure = lerobot.sync_read("Present_Position")
    arm[1].request("cable", plugged=True)
    assert "raised" in failure
    wait_until(lambda: Path(arm[0]).is_symlink(), 1.0, "the cable back")
