"""The simulated arm as a process: side channel, truth, receipts, cable, end."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import serial

sys.path.insert(0, str(Path(__file__).parent))
from arm_processes import free_port, process, simulator, wait_until

from kdp_core.exceptions import ConfigError
from kdp_core.sim.so100_geometry import HIGH_RAD, LOW_RAD
from kdp_so100_bringup import feetech_protocol as protocol
from kdp_so100_bringup.calibration import Calibration
from kdp_so100_bringup.feetech_protocol import Frame, FrameReader
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.sim_arm import arm_calibration
from kdp_so100_bringup.sim_process import main

MIDDLE = (0.5 * (LOW_RAD + HIGH_RAD)).tolist()


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    with simulator(tmp_path_factory.mktemp("arm"), "--scene", "joints") as (port, side):
        yield port, side


def ask(host, data, answers=1):
    """Frames that come back for a frame."""
    reader, frames = FrameReader(), []
    host.reset_input_buffer()
    host.write(data)
    until = time.monotonic() + 8.0
    while len(frames) < answers and time.monotonic() < until:
        frames += reader.feed(host.read(max(1, host.in_waiting)))
    return frames


def open_port(link):
    return serial.Serial(link, 1_000_000, timeout=0.5)


def received(side, kind, wanted=lambda message: True):
    until = time.monotonic() + 8.0
    while time.monotonic() < until:
        message = side.receive()
        if message is not None and message["type"] == kind and wanted(message):
            return message
    raise AssertionError(f"no {kind} came")


def test_truth_comes_by_itself(arm):
    side = arm[1]
    side.subscribe()
    first = received(side, "truth")
    later = received(side, "truth", lambda message: message["t_ns"] > first["t_ns"])
    assert later["time_s"] > first["time_s"]
    assert len(later["joints"]) == 6 and later["plugged"] is True and later["status"] == [0] * 6


def test_goal_positions_are_receipted_with_their_crc(arm):
    port, side = arm
    side.subscribe()
    ticks = dict.fromkeys(range(1, 7), Register.GOAL_POSITION.encode(2047))
    frame = protocol.sync_write(Register.GOAL_POSITION.address, ticks)
    before = time.monotonic_ns()
    with open_port(port) as host:
        host.write(frame)
        crc = zlib.crc32(frame[5:-1])
        receipt = received(side, "receipt", lambda message: message["crc"] == crc)
    assert before < receipt["receipt_ns"] < time.monotonic_ns()


def test_what_the_servos_are_told_moves_the_joints(arm):
    port, side = arm
    side.request("reset", scene={"joints": MIDDLE})
    goal = [joint + 0.2 for joint in MIDDLE]
    ticks = arm_calibration().to_ticks(goal)
    with open_port(port) as host:
        for servo in range(1, 7):
            assert ask(host, protocol.write(servo, Register.TORQUE_ENABLE.address, b"\x01"))
        data = {servo: Register.GOAL_POSITION.encode(tick) for servo, tick in enumerate(ticks, 1)}
        host.write(protocol.sync_write(Register.GOAL_POSITION.address, data))
        wait_until(lambda: side.truth()["joints"] == pytest.approx(goal, abs=0.002), 2.0, "the goal")


def test_pulling_the_cable_and_putting_it_back(arm):
    port, side = arm
    with open_port(port) as host:
        side.request("cable", plugged=False)
        wait_until(lambda: not Path(port).is_symlink(), 1.0, "the pulled cable")
        with pytest.raises((serial.SerialException, OSError)):
            host.write(protocol.ping(1))
    side.request("cable", plugged=True)
    wait_until(lambda: Path(port).is_symlink(), 1.0, "the cable back")
    with open_port(port) as host:
        assert ask(host, protocol.ping(1)) == [Frame(1, 0)]


def test_noise_on_the_wire_is_survived(arm):
    port, side = arm

    def broken():
        host.write(protocol.sync_read(Register.PRESENT_POSITION.address, 2, range(1, 7)))
        return side.request("status")["wire"]["wrong_checksums"] > 5

    with open_port(port) as host:
        side.request("wire", noise_rate=0.2)
        wait_until(broken, 5.0, "broken frames")
        side.request("wire", noise_rate=0.0)
        wait_until(lambda: ask(host, protocol.ping(2)) == [Frame(2, 0)], 2.0, "an answer after the noise")


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ({"cmd": "jump"}, "unknown command 'jump'"),
        ({"cmd": "servo", "servo": 9}, "no servo has id 9"),
        ({"cmd": "wire", "checksum_rate": 2.0}, "checksum_rate must be 0 to 1"),
        ({"cmd": "wire", "usb_delay_ms": float("nan")}, "usb_delay_ms must be finite"),
        ({"cmd": "reset", "task": "pick_place"}, "missing argument"),
        ({"cmd": "reset", "scene": {"joints": [0.0] * 5}}, "joints must be 6 numbers"),
        ({"cmd": "place_cube", "cube": 0, "pose": [0.0] * 7}, "cube must be below 0"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(arm, command, complaint):
    with pytest.raises(ConfigError, match=complaint):
        arm[1].request(**command)


def test_it_ends_when_told_and_takes_its_link_away(tmp_path):
    with simulator(tmp_path, "--scene", "joints") as (port, side):
        side.request("quit")
        wait_until(lambda: not os.path.lexists(port), 5.0, "the end")


def test_sigterm_ends_it_too(tmp_path):
    with process("sim_process", "--scene", "joints", "--control-port", free_port()) as child:
        time.sleep(0.1)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) in (
            0,
            -signal.SIGTERM,
        )  # before its handler is there, the signal itself ends it


def test_a_port_in_use_and_a_bad_calibration_are_one_line(arm, tmp_path, capsys):
    flags = ["--scene", "joints", "--no-realtime", "--control-port"]
    busy = str(arm[1].address[1])
    assert main([*flags, busy]) == 2
    assert f"cannot listen on UDP port {busy}" in capsys.readouterr().err
    (tmp_path / "bad.json").write_text("{}")
    assert main([*flags, "0", "--calibration", str(tmp_path / "bad.json")]) == 2
    assert "joint 'shoulder_pan' is missing" in capsys.readouterr().err


def test_its_calibration_can_be_written_down(tmp_path):
    command = [sys.executable, "-m", "kdp_so100_bringup.sim_process", "--write-calibration"]
    subprocess.run([*command, str(tmp_path / "arm.json")], check=True)
    assert Calibration.load(tmp_path / "arm.json").motors == arm_calibration().motors


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed here")
    with simulator(tmp_path_factory.mktemp("mujoco")) as (_port, side):
        yield side


def test_scenes_are_those_of_their_seeds(table):
    from kdp_core.sim.so100 import Scene

    for task, cubes in (("stack", 2), ("pick_place", 1)):
        scene = table.request("reset", task=task, seed=5)["scene"]
        expected = Scene.random(task, 5)
        truth = table.truth()
        assert scene["goal"] == expected.goal.tolist() == truth["goal"]
        assert len(truth["cubes"]) == cubes and truth["task"] == task and truth["seed"] == 5
        assert truth["cubes"][0][:2] == pytest.approx(expected.cubes[0, :2], abs=1e-3)


def test_the_arm_can_stay_where_it_is(table):
    table.request("reset", task="pick_place", seed=1)
    before = table.truth()["joints"]
    table.request("reset", task="pick_place", seed=2, keep_joints=True)
    assert table.truth()["joints"] == pytest.approx(before, abs=0.2)  # falling, without torque


def test_a_cube_can_be_placed(table):
    table.request("reset", task="pick_place", seed=1)
    table.request("place_cube", cube=0, pose=[0.2, 0.15, 0.015, 0, 0, 0, 1])
    assert table.truth()["cubes"][0][:2] == pytest.approx([0.2, 0.15], abs=1e-3)
