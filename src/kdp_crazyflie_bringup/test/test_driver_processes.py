"""The driver node against the simulated firmware, each in its own process: faults and what follows."""

import math
import os
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import rclpy
from kdp_msgs.msg import RobotStatus, Timing, VelocityWorld
from kdp_msgs.srv import Arm, Land, Takeoff, Trigger
from nav_msgs.msg import Odometry
from processes import process, simulator, wait_until
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

DOMAIN = 60 + os.getpid() % 40


class Operator:
    """A ROS node of the test: newest messages, service calls, velocity commands."""

    def __init__(self):
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("operator", namespace="/cf1", context=self.context)
        self.odom, self.timings, self.history = [], [], []
        self.latest = None
        self.node.create_subscription(RobotStatus, "status", self._status, 10)
        self.node.create_subscription(Odometry, "odom", self.odom.append, 10)
        self.node.create_subscription(Timing, "driver/timing", self.timings.append, 50)
        self.publisher = self.node.create_publisher(VelocityWorld, "cmd_velocity_world", 1)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def _status(self, message):
        self.history.append(message)
        self.latest = message

    @property
    def state(self):
        return None if self.latest is None else self.latest.state

    def call(self, kind, name, **fields):
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(10.0), name
        future = client.call_async(kind.Request(**fields))
        wait_until(future.done, 5.0, f"answer of {name}")
        return future.result()

    def set(self, name, value):
        """Change a parameter of the driver."""
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        return self.call(SetParameters, "crazyflie_driver/set_parameters", parameters=parameters).results[0]

    def velocity(self, x, y=0.0, z=0.0, stamp=None, frame="world"):
        message = VelocityWorld()
        message.header.frame_id = frame
        message.header.stamp = self.odom[-1].header.stamp if stamp is None else stamp
        message.vel.x, message.vel.y, message.vel.z = x, y, z
        self.publisher.publish(message)

    def stream(self, seconds, x, y=0.0):
        """Command a velocity at 50 Hz."""
        done = threading.Event()
        for _ in range(round(seconds / 0.02)):
            self.velocity(x, y)
            done.wait(0.02)

    def close(self):
        self.executor.shutdown()
        self.thread.join(2.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


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


def landed(operator):
    return operator.state == RobotStatus.IDLE and not operator.latest.armed


def test_starting_never_arms(graph):
    operator, side = graph
    assert not operator.latest.armed and not side.truth()["armed"]


def test_commands_move_it_and_are_timed(flying):
    operator, side = flying
    operator.timings.clear()
    side.subscribe()
    operator.stream(1.0, 0.4)
    assert side.truth()["velocity"][0] > 0.2
    twist = operator.odom[-1].twist.twist.linear
    assert twist.x > 0.2 and operator.odom[-1].child_frame_id == "cf1/base_link"
    wait_until(lambda: len(operator.timings) >= 10, 3.0, "timing rows")
    receipts = {}
    while (message := side.receive(0.05)) is not None and len(receipts) < 500:
        if message["type"] == "receipt":
            receipts.setdefault(message["crc"], []).append(message["receipt_ns"])
        elif receipts and len(receipts) > 3:
            break
    row = operator.timings[5]
    assert 0 < row.state_received_ns < row.command_received_ns <= row.command_sent_ns
    assert any(at >= row.command_sent_ns for at in receipts[row.payload_crc])
    assert operator.call(Land, "land").success
    wait_until(lambda: landed(operator), 10.0, "landed and disarmed")


def test_commands_stop_then_hover_within_half_a_second_then_land(flying):
    operator, side = flying
    operator.stream(0.6, 0.3)
    wait_until(lambda: operator.state == RobotStatus.HOLDING, 3.0, "hovering")
    first = next(m for m in reversed(operator.history) if m.state != RobotStatus.HOLDING)
    first = operator.history[operator.history.index(first) + 1]
    assert first.fault == "command_timeout" and first.command_age_s < 0.5
    wait_until(lambda: abs(side.truth()["velocity"][0]) < 0.1, 2.0, "standing still")
    assert side.truth()["position"][2] > 0.8
    wait_until(lambda: operator.state == RobotStatus.LANDING, 4.0, "landing")
    wait_until(lambda: landed(operator), 10.0, "landed and disarmed")
    assert side.truth()["position"][2] < 0.05 and not side.truth()["locked"]


def test_nan_and_old_and_foreign_commands_are_refused(flying):
    operator, side = flying
    refused = operator.latest.commands_refused
    side.subscribe()
    start_ns = time.monotonic_ns()
    stale = type(operator.odom[-1].header.stamp)(sec=1)
    operator.velocity(math.nan)
    wait_until(lambda: operator.latest.commands_refused == refused + 1, 2.0, "NaN refused")
    operator.velocity(0.5, stamp=stale)
    wait_until(lambda: operator.latest.commands_refused == refused + 2, 2.0, "old command refused")
    operator.velocity(0.5, frame="map")
    wait_until(lambda: operator.latest.commands_refused == refused + 3, 2.0, "foreign frame refused")
    for _ in range(30):
        message = side.receive(0.05)
        assert message is None or message.get("receipt_ns", 0) < start_ns  # nothing went out


def test_low_battery_lands(flying):
    operator, side = flying
    side.request("battery", volts=3.05)
    wait_until(lambda: operator.latest.fault == "low_battery", 3.0, "low battery noticed")
    wait_until(lambda: landed(operator), 10.0, "landed and disarmed")
    answer = operator.call(Takeoff, "takeoff", height=1.0)
    assert not answer.success and answer.message == "not armed"


def test_fence_holds_against_the_commands(flying):
    operator, side = flying
    assert not operator.set("command_timeout", 9.0).successful  # out of range
    assert not operator.set("uri", "udp://127.0.0.1:1").successful  # not while connected
    assert operator.set("command_timeout", 1.0).successful
    limited = operator.latest.commands_limited
    for _ in range(20):
        operator.stream(1.0, 0.0, 0.8)
        if side.truth()["position"][1] > 1.9:
            break
    operator.stream(1.0, 0.0, 0.8)
    assert 1.9 < side.truth()["position"][1] < 2.05
    assert operator.latest.commands_limited > limited + 5
    assert operator.set("command_timeout", 0.3).successful
    operator.call(Land, "land")


def test_frozen_link_is_a_fault_within_half_a_second_and_the_node_answers(flying):
    operator, side = flying
    operator.stream(0.3, 0.1)
    count = len(operator.history)
    side.request("freeze", seconds=60)

    def faults():
        return [m for m in operator.history[count:] if m.fault in ("state_stale", "link_lost")]

    wait_until(faults, 3.0, "fault")
    first = faults()[0]
    assert first.state_age_s < 0.5 and first.state == RobotStatus.FAULT and not first.can_move
    for kind, name, fields in ((Arm, "arm", {"arm": True}), (Takeoff, "takeoff", {"height": 1.0})):
        answer = operator.call(kind, name, **fields)
        assert not answer.success and "Crazyflie" in answer.message
    assert not operator.call(Trigger, "emergency").success
    wait_until(lambda: side.truth()["locked"], 5.0, "the firmware's own watchdog")
    side.request("freeze", seconds=0)
    wait_until(lambda: operator.state == RobotStatus.LOCKED, 10.0, "connected again, and locked")
