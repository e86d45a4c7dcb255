# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures: the driver node against the simulated firmware, each in its own process."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from driver_graph import DOMAIN, Operator
from kdp_msgs.msg import RobotStatus
from kdp_msgs.srv import Arm, Takeoff
from processes import process, simulator, wait_until


@pytest.fixture(scope="module")
def graph():
    """Simulator, driver and operator for all tests of this file."""
    environment = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ.update(environment)
    with simulator("--poles", "0", "--seed", "1") as (uri, side):
        arguments = ["--ros-args", "-r", "__ns:=/cf1", "-p", f"uri:={uri}", "-p", "reconnect_period:=0.2"]
        with process("driver_node", *arguments, env=environment):
            operator = Operator()
            try:
                wait_until(lambda: operator.state == RobotStatus.IDLE, 20.0, "connected and idle")
                yield operator, side
            finally:
                operator.close()


@pytest.fixture
def flying(graph):
    """The drone hovers at 1 m in the middle of an empty arena and takes commands."""
    operator, side = graph
    arena = {"start": [2.0, 0.0, 1.0], "goal": [5.0, 0.0, 1.0], "poles": []}
    side.request("freeze", seconds=0)
    side.request("reset", arena=arena)
    wait_until(lambda: operator.state == RobotStatus.IDLE and not operator.latest.armed, 15.0, "idle")
    wait_until(lambda: abs(operator.odom[-1].pose.pose.position.x - 2.0) < 0.05, 5.0, "new place")
    wait_until(lambda: operator.call(Arm, "arm", arm=True).success, 5.0, "armed after the reset")
    assert operator.call(Takeoff, "takeoff", height=1.0).success
    wait_until(lambda: operator.state == RobotStatus.ACTIVE, 10.0, "take-off")
    return operator, side
