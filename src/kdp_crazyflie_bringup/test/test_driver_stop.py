# SPDX-License-Identifier: GPL-3.0-or-later
"""Deactivating in flight, and a second driver."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import rclpy
from driver_graph import DOMAIN, Operator
from firmware_link import FirmwareLink, airborne, make_control
from kdp_msgs.msg import RobotStatus
from processes import process, simulator, wait_until
from rclpy.context import Context

from kdp_core.exceptions import ConfigError
from kdp_crazyflie_bringup.driver_node import CrazyflieDriver
from kdp_crazyflie_bringup.driver_rival import YOUNG_S
from kdp_crazyflie_bringup.flight_phase import Phase


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = Context()
    rclpy.init(args=["--ros-args", "-r", "__ns:=/cf1"], context=context, domain_id=DOMAIN)
    made = CrazyflieDriver(context=context)
    yield made
    made.disconnect()
    made.destroy_node()
    rclpy.try_shutdown(context=context)


def test_from_2_m_it_waits_for_the_landing_and_disarms():
    control, link, _ = airborne(height=2.0)
    began = link.now_s
    assert control.come_down(lambda: link.now_s, link.step)
    assert link.z < 0.05 and not link.firmware.supervisor.armed
    assert link.now_s - began > 8.0 and control.phases.phase is Phase.GROUND


def test_a_drone_that_does_not_come_down_is_given_up():
    control, link, _ = airborne()
    link.land = lambda *_args, **_more: None  # nothing arrives

    began = link.now_s
    assert not control.come_down(lambda: link.now_s, link.step)
    assert link.now_s - began == pytest.approx(4.9 + 3.5, abs=0.5)


def test_a_second_driver_does_not_start_while_the_first_flies(monkeypatch):
    environment = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with simulator("--poles", "0", "--seed", "1") as (uri, side):
        arguments = ["--ros-args", "-r", "__ns:=/cf1", "-p", f"uri:={uri}"]
        operator = Operator()
        try:
            with process("driver_node", *arguments, env=environment):
                wait_until(lambda: operator.state == RobotStatus.IDLE, 20.0, "connected and idle")
                time.sleep(YOUNG_S)
                with process("driver_node", *arguments, env=environment) as second:
                    wait_until(lambda: second.poll() is not None, 20.0, "end of the second driver")
                assert second.returncode == 2
                wait_until(lambda: operator.state == RobotStatus.IDLE, 20.0, "the first goes on")
                assert not side.truth()["locked"]
        finally:
            operator.close()


def test_a_newcomer_that_hears_of_the_first_late_ends_and_an_old_one_stays(node):
    link = FirmwareLink()
    closed = []
    link.close = lambda in_flight: closed.append(in_flight)
    node.control, _ = make_control(link)
    other = RobotStatus(state=RobotStatus.ACTIVE)
    own = RobotStatus(state=RobotStatus.ACTIVE)
    own.header.stamp.sec = 7
    node._rivals.own(own)
    node._rivals._on_status(own)  # its own
    node._rivals._on_status(RobotStatus(state=RobotStatus.DISCONNECTED))  # one that is not active
    assert node.control is not None
    node._rivals._born_s -= 60.0
    node._rivals._on_status(other)
    assert node.control is not None and not closed
    node._rivals._born_s += 60.0
    with pytest.raises(ConfigError, match="another driver"):
        node._rivals._on_status(other)
    assert node.control is None and closed == [True]  # no zero thrust
