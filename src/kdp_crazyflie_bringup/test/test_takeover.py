# SPDX-License-Identifier: GPL-3.0-or-later
"""A driver that starts while the drone flies must not believe that it stands on the ground."""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from driver_graph import DOMAIN, Operator
from firmware_link import airborne, fly, make_control
from kdp_msgs.msg import RobotStatus
from kdp_msgs.srv import Arm, Takeoff
from processes import process, simulator, wait_until

from kdp_crazyflie_bringup.flight_phase import Phase


def restarted():
    """A drone that hovers, and a driver that has just connected to it."""
    _, link, _ = airborne()
    control, reports = make_control(link)
    return control, link, reports


def test_a_flying_drone_is_taken_over_hovers_and_lands_by_itself():
    control, link, reports = restarted()
    control.update(link.now_s)
    assert control.phases.phase is Phase.HOLDING and "taking over" in reports[0][1]
    fly(control, 1.8)
    assert control.phases.phase is Phase.HOLDING and 0.9 < link.z < 1.25
    speeds = fly(control, 15.0, until=lambda: control.phases.phase is Phase.GROUND)
    assert link.z < 0.05 and not link.firmware.supervisor.armed
    assert min(v[2] for v in speeds) > -1.0  # it landed, it did not fall


def test_it_is_taken_over_from_low_level_setpoints_before_the_firmware_locks():
    control, link, _ = airborne()
    fly(control, 1.0, lambda now_s: control.velocity((0.3, 0.0, 0.0), 0.0, None, now_s))
    for _ in range(50):  # nobody there for a second
        link.step()
    control, _ = make_control(link)
    fly(control, 20.0, until=lambda: control.phases.phase is Phase.GROUND and link.now_s > 12.0)
    assert link.z < 0.05 and "LOCKED" not in link.firmware.supervisor.state.name


def test_commands_go_on_after_it_was_taken_over():
    control, _, _ = restarted()
    fly(control, 0.5)
    seen = fly(control, 1.5, lambda now_s: control.velocity((0.4, 0.0, 0.0), 0.0, None, now_s))
    assert seen[-1][0] > 0.3 and control.phases.phase is Phase.ACTIVE


def test_before_it_is_taken_over_nothing_cuts_the_motors():
    control, link, _ = restarted()
    assert control.in_flight()
    assert control.arm(False) == (False, "in flight: land first, or use the emergency service")
    assert control.takeoff(1.0, 0.0, link.now_s) == (False, "already flying")
    done, why = control.land(0.0, link.now_s)
    assert done and why.startswith("landing in")
    seen = fly(control, 15.0, until=lambda: control.phases.phase is Phase.GROUND)
    assert link.z < 0.05 and min(v[2] for v in seen) > -1.0


def test_near_the_ground_it_is_landed_and_does_not_climb():
    first, link, _ = airborne()
    first.land(0.0, link.now_s)
    fly(first, 15.0, until=lambda: link.z < 0.1)
    control, _ = make_control(link)
    highest = 0.0

    def watch(_now_s):
        nonlocal highest
        highest = max(highest, link.z)

    fly(control, 10.0, watch)
    assert highest < 0.12 and not link.firmware.supervisor.armed


def test_a_driver_killed_in_flight_is_replaced_and_its_interruption_lands():
    """kill -9 of the driver while the drone hovers, a new driver, SIGINT: down without a fall."""
    environment = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ.update(environment)
    with simulator("--poles", "0", "--seed", "1") as (uri, side):
        arguments = ["--ros-args", "-r", "__ns:=/cf1", "-p", f"uri:={uri}", "-p", "hover_timeout:=60.0"]
        operator = Operator()
        try:
            with process("driver_node", *arguments, env=environment) as first:
                wait_until(lambda: operator.state == RobotStatus.IDLE, 20.0, "connected and idle")
                assert operator.call(Arm, "arm", arm=True).success
                assert operator.call(Takeoff, "takeoff", height=1.0).success
                wait_until(lambda: operator.state == RobotStatus.ACTIVE, 10.0, "take-off")
                first.send_signal(signal.SIGKILL)
                first.wait()
            operator.latest = None
            with process("driver_node", *arguments, env=environment) as second:
                wait_until(lambda: operator.state == RobotStatus.HOLDING, 20.0, "taken over")
                assert side.truth()["position"][2] > 0.8
                second.send_signal(signal.SIGINT)
                falls = []
                wait_until(
                    lambda: falls.append(side.truth()["velocity"][2]) or second.poll() is not None,
                    10.0,
                    "end of the driver",
                )
            truth = side.truth()
            assert truth["position"][2] < 0.05 and not truth["armed"] and not truth["locked"]
            assert min(falls) > -1.5
        finally:
            operator.close()
