"""The real cflib against the simulated firmware in its own process."""

import sys
import threading
import time
import zlib
from itertools import pairwise
from pathlib import Path

import cflib.crtp
import pytest
from cflib.crazyflie import Crazyflie
from cflib.crazyflie.log import LogConfig
from cflib.crazyflie.syncCrazyflie import SyncCrazyflie

sys.path.insert(0, str(Path(__file__).parent))
from processes import simulator, wait_until


@pytest.fixture(scope="module")
def world():
    """One simulator and one cflib connection for all tests of this file."""
    cflib.crtp.init_drivers()
    with simulator("--poles", "0") as (uri, side), SyncCrazyflie(uri, cf=Crazyflie()) as crazyflie:
        crazyflie.wait_for_params()
        yield crazyflie.cf, side, uri


def take_off(cf, side):
    side.request("reset", seed=1, poles=0)

    def armed():
        cf.supervisor.send_arming_request(True)  # again, as the first may come before the checks have passed
        return cf.supervisor.is_armed and cf.supervisor.can_fly

    wait_until(armed, 2.0, "armed")
    cf.commander.send_notify_setpoint_stop()
    cf.high_level_commander.takeoff(1.0, 1.5)
    wait_until(lambda: side.truth()["position"][2] > 0.9, 5.0, "take-off")


def test_parameters_are_read_and_written(world):
    cf, _, _ = world
    assert cf.param.get_value("stabilizer.estimator") == "2"
    changed = threading.Event()
    cf.param.add_update_callback("kalman", "initialX", lambda _name, value: value == "1.5" and changed.set())
    cf.param.set_value("kalman.initialX", 1.5)
    assert changed.wait(2.0)
    answers = []
    cf.param.get_default_value("stabilizer.estimator", lambda name, value: answers.append((name, value)))
    wait_until(lambda: answers, 2.0, "default value")
    assert answers == [("stabilizer.estimator", 2)]


def test_log_comes_at_its_rate_with_the_truth_in_it(world):
    cf, side, _ = world
    side.request("reset", seed=1, poles=0)
    config = LogConfig("test", 20)
    for name in ("stateEstimate.x", "stateEstimate.y", "stateEstimate.z", "pm.vbat"):
        config.add_variable(name)
    rows = []
    config.data_received_cb.add_callback(lambda stamp, data, _: rows.append((stamp, data)))
    cf.log.add_config(config)
    config.start()
    wait_until(lambda: len(rows) >= 50, 5.0, "50 log packets")
    config.stop()
    config.delete()
    stamps = [stamp for stamp, _ in rows[:50]]
    assert {b - a for a, b in pairwise(stamps)} <= {19, 20, 21}
    truth = side.truth()["position"]
    assert rows[-1][1]["stateEstimate.x"] == pytest.approx(truth[0], abs=0.02)
    assert rows[-1][1]["stateEstimate.y"] == pytest.approx(truth[1], abs=0.02)
    assert 3.5 < rows[-1][1]["pm.vbat"] < 4.3


def test_arm_take_off_setpoints_receipts_and_land(world):
    cf, side, _ = world
    take_off(cf, side)
    assert {"Is armed", "Can fly", "Is flying", "HL control is active"} <= set(
        cf.supervisor.read_state_list()
    )
    side.subscribe()
    sent = []
    cf.packet_sent.add_callback(lambda pk: pk.port == 7 and sent.append(zlib.crc32(bytes(pk.data))))
    for i in range(40):
        cf.commander.send_velocity_world_setpoint(0.3, 0.001 * i, 0.0, 0.0)
        time.sleep(0.02)
    assert side.truth()["velocity"][0] > 0.15
    received = []
    wait_until(
        lambda: (
            (message := side.receive(0.1)) is None
            or (message["type"] == "receipt" and received.append(message["crc"]) is not None)
            or len(received) == 40
        ),
        5.0,
        "receipts",
    )
    assert received == sent
    cf.high_level_commander.land(0.0, 1.5)
    cf.commander.send_notify_setpoint_stop()
    wait_until(lambda: side.truth()["position"][2] < 0.02, 5.0, "landing")
    wait_until(lambda: not cf.supervisor.is_armed, 8.0, "disarming by itself")
    assert not cf.supervisor.is_locked


def test_two_seconds_of_silence_lock_it(world):
    cf, side, _ = world
    take_off(cf, side)
    cf.commander.send_hover_setpoint(0.0, 0.0, 0.0, 1.0)
    took = wait_until(lambda: side.truth()["locked"], 5.0, "locked")
    assert took > 1.5
    assert cf.supervisor.is_locked and not cf.supervisor.can_be_armed


def test_delay_slows_the_link_and_loss_loses_packets(world):
    cf, side, _ = world
    side.request("reset", seed=1, poles=0)

    def ping(patience_s=5.0):
        answered = threading.Event()

        def answer(packet):
            answered.set()

        cf.add_port_callback(9, answer)
        start = time.monotonic()
        cf.supervisor._last_fetch_time = 0
        cf.supervisor.read_bitfield()
        came = answered.wait(patience_s)
        cf.remove_port_callback(9, answer)
        return came, time.monotonic() - start

    try:
        side.request("link", delay_ms=40)
        answered, took = ping()
        assert answered and took > 0.08  # both ways
        side.request("link", loss=1.0)
        assert not ping(0.3)[0]
    finally:
        side.request("link")
    assert ping()[0]


def test_scanner_finds_it_without_taking_the_link_over(world):
    cf, _, uri = world
    import socket

    port = int(uri.rsplit(":", 1)[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.settimeout(2.0)
        scanner.sendto(b"\xff", ("127.0.0.1", port))
        assert scanner.recv(64)
    cf.supervisor._last_fetch_time = 0
    assert cf.supervisor.read_bitfield() & 0x200


def test_side_channel_refuses_nonsense_in_one_line(world):
    from kdp_core.exceptions import ConfigError

    _, side, _ = world
    for arguments in (
        {"cmd": "fly"},
        {"cmd": "battery"},
        {"cmd": "link", "loss": 2},
        {"cmd": "reset", "arena": 3},
    ):
        cmd = arguments.pop("cmd")
        with pytest.raises(ConfigError) as caught:
            side.request(cmd, **arguments)
        assert "\n" not in str(caught.value)
