"""A planner node and a probe that plays driver, in one process; straight lines replace the network."""

import os
import time

os.environ.setdefault("ROS_DOMAIN_ID", "37")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PoseStamped
from kdp_msgs.msg import Cylinder, Obstacles, Timing, VelocityWorld
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from kdp_core.controller import Controller, ControllerOptions
from kdp_core.tasks import make_task
from kdp_planner_ros.control_loop import ControlLoop
from kdp_planner_ros.outputs import LATCHED, NEWEST
from kdp_planner_ros.planner_node import PlannerNode

SEEN = [0]  # stamp of the newest state that the planner has worked on


class StraightLines:
    """A window source without a network: K windows that fly straight towards the goal at 0.5 m/s."""

    d_noise = 2

    def __init__(self) -> None:
        self.spec = make_task("flight").spec
        self.delay_s = 0.0

    def propose(self, state, context, noise):
        time.sleep(self.delay_s)
        goal = context[:3]
        direction = 0.5 * goal / max(np.linalg.norm(goal), 1e-6) + 0.02 * np.pad(noise, ((0, 0), (0, 1)))
        steps = np.arange(self.spec.horizon)[:, None] * self.spec.step_s
        paths = direction[:, None, :] * steps
        speeds = np.broadcast_to(direction[:, None, :], paths.shape)
        windows = np.concatenate([paths, speeds, speeds], axis=-1).astype(np.float32)
        return windows, -np.linalg.norm(noise, axis=1)


class Flight:
    """The planner node with a probe beside it; `spin` runs both until a condition holds."""

    def __init__(self, **parameters) -> None:
        self.source = StraightLines()
        # A busy machine must not end a goal that the test does not mean to end.
        patient = {"state_timeout_s": 10.0}
        overrides = [Parameter(name, value=value) for name, value in {**patient, **parameters}.items()]
        self.planner = PlannerNode(
            lambda s: Controller(
                self.source,
                make_task("flight"),
                ControllerOptions(candidates=s.candidates, seed=s.seed, chunk=s.chunk),
            ),
            parameter_overrides=overrides,
            namespace="cf1",
        )
        self.planner.start()
        self.probe = rclpy.create_node("probe", namespace="cf1")
        self.commands: list[VelocityWorld] = []
        self.timing: list[Timing] = []
        self.diagnostics: list = []
        self.probe.create_subscription(VelocityWorld, "cmd_velocity_world", self.commands.append, 10)
        self.probe.create_subscription(Timing, "planner/timing", self.timing.append, 10)
        self.probe.create_subscription(
            DiagnosticArray, "/diagnostics", lambda msg: self.diagnostics.extend(msg.status), 10
        )
        self._odom = self.probe.create_publisher(Odometry, "odom", NEWEST)
        self._goal = self.probe.create_publisher(PoseStamped, "goal_pose", NEWEST)
        self._obstacles = self.probe.create_publisher(Obstacles, "obstacles", LATCHED)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.planner)
        self.executor.add_node(self.probe)
        self.stamp = 0
        assert self.spin(
            lambda: all(p.get_subscription_count() for p in (self._odom, self._goal, self._obstacles)), 10.0
        )

    def spin(self, until, seconds=10.0) -> bool:
        """Run callbacks until `until()`; False if that takes longer than `seconds`."""
        end, turns = time.monotonic() + seconds, 0
        while time.monotonic() < end or turns < 8:
            if until():
                return True
            self.executor.spin_once(timeout_sec=0.01)
            turns += 1
        return bool(until())

    def wait(self, seconds) -> None:
        self.spin(lambda: False, seconds)

    def send_obstacles(self, poles=((3.0, 1.5, 0.15),), frame="world") -> None:
        msg = Obstacles(
            cylinders=[Cylinder(center=Point(x=x, y=y), radius=r, height=2.0) for x, y, r in poles]
        )
        msg.header.frame_id = frame
        self._obstacles.publish(msg)
        self.wait(0.2)

    def send_odom(self, position=(1.0, 0.0, 1.0), frame="world") -> int:
        """Publish one state and run its cycle; returns the stamp's nanoseconds."""
        self.stamp += 1
        msg = Odometry(child_frame_id="cf1/base_link")
        msg.header.frame_id = frame
        msg.header.stamp.nanosec = self.stamp
        pose = msg.pose.pose
        pose.position.x, pose.position.y, pose.position.z = position
        pose.orientation.w = 1.0
        self._odom.publish(msg)
        assert self.spin(lambda: [self.stamp] == SEEN, 10.0)
        self.wait(0.03)
        return self.stamp

    def send_states(self, n, **options) -> None:
        for _ in range(n):
            self.send_odom(**options)

    @staticmethod
    def goal_message(position=(5.0, 0.0, 1.0), frame="world") -> PoseStamped:
        msg = PoseStamped()
        msg.header.frame_id = frame
        msg.pose.position.x, msg.pose.position.y, msg.pose.position.z = position
        return msg

    def send_goal(self, position=(5.0, 0.0, 1.0), frame="world") -> None:
        self._goal.publish(self.goal_message(position, frame))
        self.wait(0.1)

    def close(self) -> None:
        self.executor.shutdown()
        self.probe.destroy_node()
        self.planner.destroy_node()


@pytest.fixture(scope="session")
def ros():
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def make_flight(ros, monkeypatch):
    made = []
    on_state = ControlLoop._on_state

    def seen(loop, topic, msg):
        on_state(loop, topic, msg)
        SEEN[0] = msg.header.stamp.nanosec

    monkeypatch.setattr(ControlLoop, "_on_state", seen)

    def make(**parameters) -> Flight:
        made.append(Flight(**parameters))
        return made[-1]

    yield make
    for flight in made:
        flight.close()


@pytest.fixture
def flight(make_flight) -> Flight:
    """A planner that knows its obstacles and waits for a goal."""
    flight = make_flight()
    flight.send_obstacles()
    return flight
