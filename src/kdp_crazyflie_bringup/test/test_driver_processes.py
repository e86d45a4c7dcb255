# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver node against the simulated firmware, each in its own process: faults and what follows."""

import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from driver_graph import landed
from kdp_msgs.msg import RobotStatus
from kdp_msgs.srv import Arm, Land, Takeoff, Trigger
from processes import wait_until


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
