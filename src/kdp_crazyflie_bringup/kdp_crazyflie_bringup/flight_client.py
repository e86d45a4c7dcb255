# SPDX-License-Identifier: GPL-3.0-or-later
"""ROS side of one operator: arm, take off, fly to a goal, land; and the timing rows of the nodes.

Everything goes through the services, the action and the topics that any user of the graph has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Duration
from kdp_msgs.action import FlyTo
from kdp_msgs.msg import Plan, RobotStatus, Timing
from kdp_msgs.srv import Arm, Land, Takeoff
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.task import Future

from kdp_core.exceptions import KdpError
from kdp_planner_ros.latency import DriverRow, LatencyLog, PlannerRow

SERVICE_S = 5.0  # patience with one service call


@dataclass(frozen=True)
class PlanSnapshot:
    """One plan for the picture. paths: (K, H, 3) m; index: the chosen one, -1 for none."""

    t_ns: int
    paths: NDArray[np.float32]
    index: int


class FlightClient:
    """One ROS node in this process, spun by a thread of its own."""

    def __init__(
        self, namespace: str, latency: LatencyLog, check: Callable[[], None], keep_plans: bool
    ) -> None:
        """`check` may raise while waiting; `keep_plans` subscribes to all K candidates, at 5 Hz."""
        self._check = check
        self._latency = latency
        self.feedback: Any = None
        self.status: RobotStatus | None = None
        self.snapshots: list[PlanSnapshot] = []
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node("flight_client", namespace=namespace, context=self._context)
        many = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        node = self._node
        node.create_subscription(Timing, "planner/timing", self._on_planner_timing, many)
        node.create_subscription(Timing, "driver/timing", self._on_driver_timing, many)
        node.create_subscription(RobotStatus, "status", self._on_status, qos_profile_sensor_data)
        if keep_plans:
            node.create_subscription(Plan, "plan_candidates", self._on_candidates, qos_profile_sensor_data)
        self._arm = node.create_client(Arm, "arm")
        self._takeoff = node.create_client(Takeoff, "takeoff")
        self._land = node.create_client(Land, "land")
        self._world = node.create_client(SetParameters, "obstacle_server/set_parameters")
        self._fly_to = ActionClient(node, FlyTo, "fly_to")
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="flight_client", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether the driver says that the drone is connected and its motors are off."""
        return self.status is not None and self.status.state == RobotStatus.IDLE

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until all servers answer and the driver has a state. KdpError names what is missing."""
        deadline = time.monotonic() + timeout_s
        while True:
            missing = [
                name
                for name, ready in (
                    ("arm", self._arm.service_is_ready()),
                    ("takeoff", self._takeoff.service_is_ready()),
                    ("land", self._land.service_is_ready()),
                    ("obstacle_server", self._world.service_is_ready()),
                    ("fly_to", self._fly_to.server_is_ready()),
                    ("status (connected)", self.status is not None and self.status.state >= RobotStatus.IDLE),
                )
                if not ready
            ]
            if not missing:
                return
            self._check()
            if time.monotonic() > deadline:
                raise KdpError(f"the graph is not ready after {timeout_s:g} s, missing: {', '.join(missing)}")
            time.sleep(0.05)

    def set_world(self, seed: int, poles: int) -> None:
        """Give the obstacle server another world."""
        integer = ParameterType.PARAMETER_INTEGER
        request = SetParameters.Request(
            parameters=[
                Parameter(name=name, value=ParameterValue(type=integer, integer_value=value))
                for name, value in (("seed", seed), ("poles", poles))
            ]
        )
        for result in self._call("obstacle_server", self._world.call_async(request)).results:
            if not result.successful:
                raise KdpError(f"obstacle_server refused the world: {result.reason}")

    def arm(self, arm: bool = True) -> None:
        """Arm or disarm."""
        self._answered("arm", self._arm.call_async(Arm.Request(arm=arm)))

    def takeoff(self, height_m: float, duration_s: float) -> None:
        """Start to take off; returns when the driver has accepted."""
        request = Takeoff.Request(height=height_m, duration=_duration(duration_s))
        self._answered("takeoff", self._takeoff.call_async(request))

    def land(self, duration_s: float, height_m: float = 0.0) -> None:
        """Start to land; returns when the driver has accepted."""
        request = Land.Request(height=height_m, duration=_duration(duration_s))
        self._answered("land", self._land.call_async(request))

    def fly_to(self, goal: NDArray[np.float64], tolerance_m: float, timeout_s: float) -> FlightGoal:
        """Send the goal (3,) m in the world frame; returns when the planner has accepted."""
        message = FlyTo.Goal(tolerance=tolerance_m, timeout_s=timeout_s)
        message.goal.header.frame_id = "world"
        message.goal.header.stamp = self._node.get_clock().now().to_msg()
        position = message.goal.pose.position
        position.x, position.y, position.z = goal.tolist()
        message.goal.pose.orientation.w = 1.0
        self.feedback = None
        handle = self._call("fly_to", self._fly_to.send_goal_async(message, self._on_feedback))
        if not handle.accepted:
            raise KdpError("the planner refused the goal: see its log")
        return FlightGoal(handle, handle.get_result_async(), self._call)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(2.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _call(self, name: str, future: Future) -> Any:
        """Wait for `future`; KdpError names the server."""
        deadline = time.monotonic() + SERVICE_S
        while not future.done():
            self._check()
            if time.monotonic() > deadline:
                raise KdpError(f"{name} did not answer within {SERVICE_S:g} s")
            time.sleep(0.005)
        return future.result()

    def _answered(self, name: str, future: Future) -> None:
        response = self._call(name, future)
        if not response.success:
            raise KdpError(f"{name} was refused: {response.message}")

    def _on_feedback(self, message: Any) -> None:
        self.feedback = message.feedback

    def _on_status(self, message: RobotStatus) -> None:
        self.status = message

    def _on_planner_timing(self, m: Timing) -> None:
        stamp = (m.header.stamp.sec, m.header.stamp.nanosec)
        times = m.state_received_ns, m.plan_start_ns, m.plan_end_ns, m.command_published_ns
        self._latency.add_planner(PlannerRow(stamp, *times, m.deadline_missed, m.safe_action))

    def _on_driver_timing(self, m: Timing) -> None:
        stamp = (m.header.stamp.sec, m.header.stamp.nanosec)
        times = m.state_received_ns, m.command_received_ns, m.command_sent_ns
        self._latency.add_driver(DriverRow(stamp, *times, m.payload_crc))

    def _on_candidates(self, message: Plan) -> None:
        shape = tuple(message.shape)
        if len(shape) == 3:
            paths = np.array(message.paths, dtype=np.float32).reshape(shape[0], shape[1], 3)
            self.snapshots.append(PlanSnapshot(time.monotonic_ns(), paths, message.index))


class FlightGoal:
    """A goal that the planner has accepted."""

    def __init__(self, handle: Any, result: Future, call: Callable[[str, Future], Any]) -> None:
        self._handle, self._result, self._call = handle, result, call

    @property
    def done(self) -> bool:
        """Whether the planner has ended the goal."""
        return self._result.done()

    def result(self) -> Any:
        """FlyTo.Result, once done."""
        return self._result.result().result

    def cancel(self) -> None:
        """Ask the planner to stop."""
        self._call("fly_to cancel", self._handle.cancel_goal_async())


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(sec=whole, nanosec=round((seconds - whole) * 1e9))
