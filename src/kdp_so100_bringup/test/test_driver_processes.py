"""The driver node against the simulated servos, each in its own process: topics, services, faults."""

import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import rclpy
from arm_processes import process, simulator, wait_until
from builtin_interfaces.msg import Duration
from kdp_msgs.msg import JointCommand, RobotStatus, Timing
from kdp_msgs.srv import Arm, Trigger
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.calibration import Calibration, MotorCalibration
from kdp_so100_bringup.sim_arm import arm_calibration

DOMAIN = 20 + os.getpid() % 40
POSE = [0.0, -1.2, 1.4, 0.9, 0.0, 0.5]


class Operator:
    """A ROS node of the test: newest messages, service calls, joint commands."""

    def __init__(self):
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("operator", namespace="/so100", context=self.context)
        self.states, self.timings, self.history = [], [], []
        self.latest = None
        self.node.create_subscription(RobotStatus, "status", self._status, 10)
        self.node.create_subscription(JointState, "joint_states", self.states.append, 10)
        self.node.create_subscription(Timing, "driver/timing", self.timings.append, 50)
        self._commands = self.node.create_publisher(JointCommand, "joint_command", 1)
        self._array = self.node.create_publisher(Float64MultiArray, "forward_command_controller/commands", 1)
        topic = "joint_trajectory_controller/joint_trajectory"
        self._trajectory = self.node.create_publisher(JointTrajectory, topic, 1)
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

    @property
    def joints(self):
        return list(self.states[-1].position)

    def call(self, kind, name, **fields):
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(10.0), name
        future = client.call_async(kind.Request(**fields))
        wait_until(future.done, 5.0, f"answer of {name}")
        return future.result()

    def set(self, name, value):
        """Change a parameter of the driver."""
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        return self.call(SetParameters, "so100_driver/set_parameters", parameters=parameters).results[0]

    def command(self, targets, stamp=None):
        message = JointCommand(positions=targets)
        message.header.stamp = self.states[-1].header.stamp if stamp is None else stamp
        self._commands.publish(message)

    def array(self, targets):
        self._array.publish(Float64MultiArray(data=targets))

    def trajectory(self, names, targets, seconds):
        time_from_start = Duration(sec=int(seconds), nanosec=int(seconds % 1 * 1e9))
        point = JointTrajectoryPoint(positions=targets, time_from_start=time_from_start)
        self._trajectory.publish(JointTrajectory(joint_names=names, points=[point]))

    def go(self, targets, seconds=8.0):
        """Command until the arm is there."""

        def there():
            self.command(targets)
            time.sleep(0.02)
            return max(abs(a - b) for a, b in zip(self.joints, targets, strict=True)) < 0.12

        wait_until(there, seconds, "commanded pose")

    def close(self):
        self.executor.shutdown()
        self.thread.join(2.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


ENVIRONMENT = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def driver_arguments(port, calibration, **parameters):
    words = ["--ros-args", "-r", "__ns:=/so100"]
    values = {"port": port, "calibration": calibration, "reconnect_period": 0.2, "stop": "torque_off"}
    for name, value in (values | parameters).items():
        words += ["-p", f"{name}:={value}"]
    return words


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Simulator, driver and operator for all tests of this file."""
    os.environ.update(ENVIRONMENT)
    folder = tmp_path_factory.mktemp("arm")
    arm_calibration().save(folder / "arm.json")
    with simulator(folder) as (port, side):
        arguments = driver_arguments(port, folder / "arm.json")
        with process("driver_node", *arguments, env=ENVIRONMENT):
            operator = Operator()
            try:
                wait_until(lambda: operator.state == RobotStatus.IDLE, 20.0, "connected, torque off")
                yield operator, side
            finally:
                operator.close()


@pytest.fixture
def arm(graph):
    """The arm holds over the table and takes commands."""
    operator, side = graph
    for servo in range(1, 7):
        side.request("servo", servo=servo, silent=False, celsius=30.0, volts=12.0)
    side.request("wire", checksum_rate=0.0)
    side.request("cable", plugged=True)
    wait_until(lambda: operator.latest.fault in ("", "command_timeout"), 15.0, "well again")
    scene = {"cubes": [[0.2, 0.1, 0.015, 0, 0, 0, 1]], "goal": [0.2, -0.1, 0.015], "joints": POSE}
    if not operator.latest.armed:
        wait_until(lambda: operator.call(Arm, "torque", arm=True).success, 10.0, "torque on")
    side.request("reset", scene=scene)
    wait_until(lambda: operator.latest.can_move, 5.0, "takes commands")
    wait_until(
        lambda: max(abs(a - b) for a, b in zip(operator.joints, POSE, strict=True)) < 0.05, 5.0, "pose"
    )
    return operator, side


def still(side):
    return max(map(abs, side.truth()["joint_velocity"])) < 0.05


def moved(targets, joint, by):
    return [v + by * (i == joint) for i, v in enumerate(targets)]


def test_starting_never_switches_the_torque(graph):
    operator, side = graph
    assert not operator.latest.armed and not any(side.truth()["torque"])
    assert operator.latest.message == "" and operator.latest.battery_v == pytest.approx(12.0)


def test_joint_states_are_named_in_rad_at_50_hz(arm):
    operator, side = arm
    count = len(operator.states)
    wait_until(lambda: len(operator.states) > count + 50, 4.0, "states")
    message = operator.states[-1]
    assert list(message.name) == list(JOINTS)
    assert list(message.position) == pytest.approx(side.truth()["joints"], abs=0.02)
    assert len(message.velocity) == len(message.effort) == 6
    stamps = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in operator.states[count:]]
    assert 0.015 < (stamps[-1] - stamps[0]) / (len(stamps) - 1) < 0.1


def test_commands_move_it_and_are_timed(arm):
    operator, side = arm
    operator.timings.clear()
    side.subscribe()
    operator.go(moved(POSE, 0, 0.6))
    assert side.truth()["joints"][0] == pytest.approx(0.6, abs=0.15)
    assert operator.state == RobotStatus.ACTIVE and operator.latest.commands_limited > 0
    row = operator.timings[5]
    assert 0 < row.state_received_ns < row.command_received_ns < row.command_sent_ns
    times = []
    for _ in range(1000):  # truth and receipts that have piled up
        message = side.receive(0.05) or {}
        if message.get("crc") == row.payload_crc:  # of earlier packets, too: two commands may be equal
            times.append(message["receipt_ns"])
            if times[-1] >= row.command_received_ns:
                break
    assert times and times[-1] >= row.command_received_ns


def test_ros2_control_topics_move_it_too(arm):
    operator, side = arm

    def there():
        operator.array(moved(POSE, 4, 0.5))
        time.sleep(0.02)
        return abs(side.truth()["joints"][4] - 0.5) < 0.1

    wait_until(there, 5.0, "array command")
    back = moved(POSE, 4, -0.4)
    operator.trajectory(list(JOINTS[::-1]), back[::-1], 0.8)
    wait_until(lambda: abs(side.truth()["joints"][4] + 0.4) < 0.06, 5.0, "end of the trajectory")


def test_bad_commands_are_refused_and_counted(arm):
    operator, side = arm
    refused = operator.latest.commands_refused
    bad = (
        lambda: operator.command(moved(POSE, 2, math.nan)),
        lambda: operator.command(POSE[:5]),
        lambda: operator.command(POSE, stamp=type(operator.states[-1].header.stamp)(sec=1)),
        lambda: operator.array([0.0] * 7),
        lambda: operator.array([math.inf] * 6),
        lambda: operator.trajectory(["thumb"], [0.0], 1.0),
    )
    for i, send in enumerate(bad, start=1):
        send()
        wait_until(lambda i=i: operator.latest.commands_refused == refused + i, 3.0, f"refusal {i}")
    assert still(side)


def test_commands_stop_then_it_holds_then_stops_safely(arm):
    operator, side = arm
    operator.go(moved(POSE, 0, 0.4))
    wait_until(lambda: operator.state == RobotStatus.HOLDING, 3.0, "holding")
    first = next(m for m in operator.history[::-1] if m.state != RobotStatus.HOLDING)
    first = operator.history[operator.history.index(first) + 1]
    assert first.fault == "command_timeout" and 0.5 < first.command_age_s < 2.0 and first.can_move
    wait_until(lambda: still(side), 2.0, "standing still")
    assert all(side.truth()["torque"])
    assert operator.set("hold_timeout", 0.2).successful
    try:
        wait_until(lambda: operator.state == RobotStatus.IDLE, 4.0, "stopped")
        assert not any(side.truth()["torque"])
    finally:
        assert operator.set("hold_timeout", 10.0).successful


def test_rest_lowers_it_slowly(arm):
    operator, side = arm
    assert operator.call(Trigger, "rest").success
    wait_until(lambda: operator.state == RobotStatus.LANDING, 2.0, "lowering")
    fastest = 0.0
    while operator.state == RobotStatus.LANDING:
        fastest = max(fastest, *map(abs, side.truth()["joint_velocity"][:5]))
        time.sleep(0.02)
    wait_until(lambda: operator.state == RobotStatus.IDLE, 12.0, "torque off")
    time.sleep(0.5)
    height = side.truth()["gripper"][2]
    assert fastest < 1.5 and not any(side.truth()["torque"]) and height > 0.0


def test_emergency_switches_off_at_once(arm):
    operator, side = arm
    assert operator.call(Trigger, "emergency").success
    wait_until(lambda: not any(side.truth()["torque"]), 1.0, "torque off")
    operator.command(POSE)
    time.sleep(0.2)
    assert not any(side.truth()["torque"]) and operator.state == RobotStatus.IDLE


def test_emergency_reaches_the_others_while_a_servo_is_silent_and_that_one_later(arm):
    operator, side = arm
    side.request("servo", servo=1, silent=True)
    assert not operator.call(Trigger, "emergency").success
    assert side.truth()["torque"] == [True] + [False] * 5
    wait_until(lambda: operator.latest.fault == "torque_not_off", 3.0, "fault")
    assert not operator.latest.can_move and not operator.call(Arm, "torque", arm=True).success
    side.request("servo", servo=1, silent=False)
    wait_until(lambda: not any(side.truth()["torque"]), 5.0, "the last servo off")
    wait_until(lambda: operator.latest.fault == "", 10.0, "well again")
    assert operator.state == RobotStatus.IDLE


def test_a_silent_servo_is_named_and_the_arm_holds(arm):
    operator, side = arm
    operator.go(moved(POSE, 0, 0.3))
    side.request("servo", servo=3, silent=True)
    wait_until(lambda: operator.latest.fault == "servo_silent", 3.0, "fault")
    assert "elbow_flex (id 3)" in operator.latest.message
    assert operator.state == RobotStatus.FAULT and not operator.latest.can_move
    for _ in range(10):
        operator.command(moved(POSE, 0, 1.0))
        time.sleep(0.02)
    assert side.truth()["joints"][0] == pytest.approx(0.3, abs=0.15) and still(side)
    answer = operator.call(Arm, "torque", arm=True)
    assert not answer.success and "elbow_flex" in answer.message
    side.request("servo", servo=3, silent=False)
    wait_until(lambda: operator.latest.can_move, 10.0, "takes commands again")
    operator.go(moved(POSE, 0, 0.5))


@pytest.mark.parametrize(("servo", "wakes"), [(None, False), (3, False), (3, True)])
def test_torque_that_servos_lost_by_themselves_stops_the_arm(arm, servo, wakes):
    """One that is rebooted is silent for a moment; a dip of the supply may not even miss a read.

    It is said of some firmware that a goal switches the torque on: a servo that lost it must get none.
    """
    operator, side = arm
    for number in range(1, 7):
        side.request("servo", servo=number, goal_wakes=wakes)
    operator.go(moved(POSE, 0, 0.3))
    side.request("power_cycle", servo=servo, boot_s=0.8 if servo else 0.0)
    wait_until(lambda: operator.latest.fault == "torque_lost", 5.0, "fault")
    assert operator.state == RobotStatus.FAULT and not operator.latest.can_move
    assert operator.latest.armed == (servo is not None) and "elbow_flex" in operator.latest.message
    woken = False

    def stopped() -> bool:
        nonlocal woken
        torque = side.truth()["torque"]
        woken = woken or (servo is not None and torque[servo - 1])
        return not any(torque)

    wait_until(stopped, 6.0, "stopped")
    assert not woken
    assert operator.latest.fault == "torque_lost"
    assert operator.call(Arm, "torque", arm=True).success
    wait_until(lambda: operator.latest.can_move, 3.0, "takes commands again")


def test_one_percent_of_damaged_answers_does_not_stop_it(arm):
    operator, _ = arm
    side = arm[1]
    side.request("wire", checksum_rate=0.01)
    count, begin = len(operator.states), len(operator.history)
    for i in range(150):
        operator.command(moved(POSE, 0, 0.3 * math.sin(0.05 * i)))
        time.sleep(0.02)
    faults = {m.fault for m in operator.history[begin:]}
    assert faults <= {"", "command_timeout"}
    assert len(operator.states) - count > 100
    assert side.truth()["joints"][0] == pytest.approx(0.3 * math.sin(0.05 * 149), abs=0.15)


def test_many_damaged_answers_hold_the_arm(arm):
    operator, side = arm
    operator.go(moved(POSE, 0, 0.2))
    side.request("wire", checksum_rate=0.6)
    wait_until(lambda: operator.latest.fault == "checksum_errors", 6.0, "fault")
    assert not operator.latest.can_move and operator.state == RobotStatus.FAULT
    wait_until(lambda: still(side), 2.0, "standing still")
    side.request("wire", checksum_rate=0.0)
    wait_until(lambda: operator.latest.can_move, 10.0, "takes commands again")


def test_a_pulled_cable_is_told_and_the_arm_holds_until_it_is_back(arm):
    operator, side = arm
    operator.go(moved(POSE, 0, -0.3))
    side.request("cable", plugged=False)
    wait_until(lambda: operator.latest.fault == "link_lost", 3.0, "fault")
    assert operator.state == RobotStatus.FAULT and not operator.latest.can_move
    wait_until(lambda: "trying to connect" in operator.latest.message, 2.0, "says that it tries")
    wait_until(lambda: still(side), 2.0, "standing still")
    assert all(side.truth()["torque"])
    for kind, name, fields in ((Arm, "torque", {"arm": True}), (Trigger, "rest", {})):
        answer = operator.call(kind, name, **fields)
        assert not answer.success and answer.message
    side.request("cable", plugged=True)
    wait_until(lambda: operator.latest.can_move, 8.0, "takes commands again")
    operator.go(POSE)


@pytest.mark.parametrize(
    ("reading", "fault", "joint"),
    [({"celsius": 72.0}, "over_temperature", "wrist_flex"), ({"volts": 3.9}, "low_voltage", "wrist_flex")],
)
def test_a_servo_in_danger_holds_then_stops(arm, reading, fault, joint):
    operator, side = arm
    operator.go(moved(POSE, 0, 0.2))
    side.request("servo", servo=4, **reading)
    wait_until(lambda: operator.latest.fault == fault, 4.0, "fault")
    assert joint in operator.latest.message and not operator.latest.can_move
    wait_until(lambda: not any(side.truth()["torque"]), 6.0, "stopped")
    assert not operator.call(Arm, "torque", arm=True).success
    side.request("servo", servo=4, celsius=30.0, volts=12.0)
    wait_until(lambda: operator.latest.fault == "", 6.0, "well again")


def test_parameters_are_checked(arm):
    operator, _ = arm
    assert not operator.set("command_timeout", 9.0).successful  # out of range
    assert not operator.set("port", "/dev/null").successful  # not while connected
    assert not operator.set("stop", "drop").successful
    assert not operator.set("limits_low", [3.0] * 6).successful
    assert operator.set("limits_high", [0.1, 0.2, 3.14, 1.8, 3.14, 2.0]).successful
    try:
        for _ in range(40):
            operator.command(moved(POSE, 0, 0.4))
            time.sleep(0.02)
        assert max(state.position[0] for state in operator.states[-20:]) < 0.13
    finally:
        assert operator.set("limits_high", [2.2, 0.2, 3.14, 1.8, 3.14, 2.0]).successful


def test_calibration_mismatch_is_a_fault_and_nothing_moves(tmp_path):
    """Its own simulator and driver: another arm's file."""
    os.environ.update(ENVIRONMENT)
    motors = list(arm_calibration().motors)
    motors[1] = MotorCalibration(2, 0, *[value + 3 for value in motors[1].registers])
    Calibration(motors).save(tmp_path / "other.json")
    domain = {**ENVIRONMENT, "ROS_DOMAIN_ID": str(DOMAIN + 40)}
    with simulator(tmp_path, "--scene", "joints") as (port, side):
        context = Context()
        rclpy.init(args=[], context=context, domain_id=DOMAIN + 40)
        node = rclpy.create_node("watcher", namespace="/so100", context=context)
        seen = []
        node.create_subscription(RobotStatus, "status", seen.append, 10)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        arguments = driver_arguments(port, tmp_path / "other.json")
        try:
            with process("driver_node", *arguments, env=domain) as child:

                def told():
                    executor.spin_once(timeout_sec=0.05)
                    return seen and seen[-1].fault == "calibration_mismatch"

                wait_until(told, 20.0, "fault")
                assert "shoulder_lift.homing_offset" in seen[-1].message
                assert seen[-1].state == RobotStatus.FAULT and not seen[-1].can_move
                assert not any(side.truth()["torque"]) and child.poll() is None
        finally:
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown(context=context)


@pytest.mark.parametrize(
    ("parameters", "off"),
    [({}, True), ({"stop": "rest"}, False), ({"stop": "rest", "rest_speed": 0.05}, False)],
)
def test_ending_while_a_servo_is_silent_or_the_way_is_long(parameters, off, tmp_path, capfd, monkeypatch):
    """Who hears it switches off, and what stays under torque is said."""
    arm_calibration().save(tmp_path / "arm.json")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN + 41))
    monkeypatch.setitem(globals(), "DOMAIN", DOMAIN + 41)
    with simulator(tmp_path, "--scene", "joints") as (port, side):
        arguments = driver_arguments(port, tmp_path / "arm.json", **parameters)
        with process("driver_node", *arguments, env={**ENVIRONMENT, "ROS_DOMAIN_ID": str(DOMAIN)}) as child:
            operator = Operator()
            try:
                wait_until(lambda: operator.state == RobotStatus.IDLE, 20.0, "connected")
                assert operator.call(Arm, "torque", arm=True).success
                if "rest_speed" not in parameters:
                    side.request("servo", servo=3, silent=True)
                    wait_until(lambda: operator.latest.fault == "servo_silent", 5.0, "fault")
                    time.sleep(0.4)  # now the state is old, too
            finally:
                operator.close()
            child.send_signal(signal.SIGINT)
            child.wait(20)
        torque = side.truth()["torque"]
    assert torque == ([False, False, True, False, False, False] if off else [True] * 6)
    assert capfd.readouterr().err.count("left under torque") == 1


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"calibration": ""}, "calibration"),
        ({"calibration": "/no/such/file.json"}, "cannot be read"),
        ({"bus": "dynamixel"}, "scservo_sdk"),
        ({"max_step": 99.0}, "max_step"),
    ],
)
def test_wrong_parameters_end_the_process_with_one_line(parameters, named, tmp_path, capfd):
    arm_calibration().save(tmp_path / "arm.json")
    values = {"calibration": tmp_path / "arm.json"} | {
        k: v if v != "" else "''" for k, v in parameters.items()
    }
    arguments = driver_arguments("/dev/null", values.pop("calibration"), **values)
    with process("driver_node", *arguments, env=ENVIRONMENT) as child:
        assert child.wait(60) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and named in errors[0]
