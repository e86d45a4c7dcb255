"""ROS side of one operator of a robot: goals by action, services, timing rows, plans for pictures.

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
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from kdp_msgs.msg import Plan, RobotStatus, Timing
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from rclpy.task import Future

from kdp_core.exceptions import KdpError
from kdp_planner_ros.latency import LatencyLog
from kdp_planner_ros.latency_monitor import driver_row, planner_row
from kdp_planner_ros.outputs import TIMING

SERVICE_S = 5.0  # patience with one service call


@dataclass(frozen=True)
class PlanSnapshot:
    """One plan for the picture. paths: (K, H, 3) m; index: the chosen one, -1 for none."""

    t_ns: int
    paths: NDArray[np.float32]
    index: int


class OperatorClient:
    """One ROS node in this process, spun by a thread of its own; robots add their services."""

    def __init__(
        self,
        name: str,
        namespace: str,
        action: tuple[type, str],
        latency: LatencyLog,
        check: Callable[[], None],
        keep_plans: bool,
    ) -> None:
        """`check` may raise while waiting; `keep_plans` subscribes to all K candidates, at 5 Hz.

        Args:
            name, namespace: of the node.
            action: class and name of the planner's goal action.
            latency: gets the timing rows.
            check: called while waiting.
            keep_plans: fill `snapshots`.
        """
        self._check = check
        self._latency = latency
        self._planner = f"{namespace.rstrip('/')}/planner"
        self._planner_level = DiagnosticStatus.STALE
        self.feedback: Any = None
        self.status: RobotStatus | None = None
        self.snapshots: list[PlanSnapshot] = []
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self.node = node = rclpy.create_node(name, namespace=namespace, context=self._context)
        node.create_subscription(Timing, "planner/timing", self._on_planner_timing, TIMING)
        node.create_subscription(Timing, "driver/timing", self._on_driver_timing, TIMING)
        node.create_subscription(RobotStatus, "status", self._on_status, qos_profile_sensor_data)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        if keep_plans:
            node.create_subscription(Plan, "plan_candidates", self._on_candidates, qos_profile_sensor_data)
        self._goal_class, self._goal_name = action
        self._goals = ActionClient(node, self._goal_class, self._goal_name)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether the driver says that the robot is connected and its motors are off."""
        return self.status is not None and self.status.state == RobotStatus.IDLE

    def parts(self) -> dict[str, bool]:
        """What must be there before the first goal, and whether it is; robots add theirs."""
        connected = self.status is not None and self.status.state >= RobotStatus.IDLE
        return {
            self._goal_name: self._goals.server_is_ready(),
            "status (connected)": connected,
            "planner (has the robot's state)": self._planner_level == DiagnosticStatus.OK,
        }

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until all servers answer and the driver has a state. KdpError names what is missing."""
        deadline = time.monotonic() + timeout_s
        while missing := [name for name, ready in self.parts().items() if not ready]:
            self._check()
            if time.monotonic() > deadline:
                raise KdpError(f"the graph is not ready after {timeout_s:g} s, missing: {', '.join(missing)}")
            time.sleep(0.05)

    def send_goal(self, goal: NDArray[np.float64], tolerance_m: float, timeout_s: float) -> OperatorGoal:
        """Send the goal (3,) m in the world frame; returns when the planner has accepted."""
        message = self._goal_class.Goal(tolerance=tolerance_m, timeout_s=timeout_s)
        message.goal.header.frame_id = "world"
        message.goal.header.stamp = self.node.get_clock().now().to_msg()
        position = message.goal.pose.position
        position.x, position.y, position.z = goal.tolist()
        message.goal.pose.orientation.w = 1.0
        self.feedback = None
        handle = self.ask(self._goal_name, lambda: self._goals.send_goal_async(message, self._on_feedback))
        if not handle.accepted:
            raise KdpError("the planner refused the goal: see its log")
        return OperatorGoal(handle, self._request(self._goal_name, handle.get_result_async), self)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self._thread.join(2.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def call(self, name: str, future: Future) -> Any:
        """Wait for `future`; KdpError names the server."""
        deadline = time.monotonic() + SERVICE_S
        while not future.done():
            self._check()
            if time.monotonic() > deadline:
                raise KdpError(f"{name} did not answer within {SERVICE_S:g} s")
            time.sleep(0.005)
        return future.result()

    def ask(self, name: str, send: Callable[[], Future]) -> Any:
        """Send a request of the action and wait for its answer; KdpError names the action."""
        return self.call(name, self._request(name, send))

    def _request(self, name: str, send: Callable[[], Future]) -> Future:
        """Send from the executor's thread.

        The action client notes a request only after it has sent it, without a lock: an answer that another
        thread takes in between is thrown away.
        """
        task = self._executor.create_task(send)
        future: Future = self.call(name, task)
        return future

    def answered(self, name: str, future: Future) -> None:
        """Wait for a service with `success` and `message`; KdpError when it refused."""
        response = self.call(name, future)
        if not response.success:
            raise KdpError(f"{name} was refused: {response.message}")

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_feedback(self, message: Any) -> None:
        self.feedback = message.feedback

    def _on_status(self, message: RobotStatus) -> None:
        self.status = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._planner:
                self._planner_level = status.level

    def _on_planner_timing(self, message: Timing) -> None:
        self._latency.add_planner(planner_row(message))

    def _on_driver_timing(self, message: Timing) -> None:
        self._latency.add_driver(driver_row(message))

    def _on_candidates(self, message: Plan) -> None:
        shape = tuple(message.shape)
        if len(shape) == 3:
            paths = np.array(message.paths, dtype=np.float32).reshape(shape[0], shape[1], 3)
            self.snapshots.append(PlanSnapshot(time.monotonic_ns(), paths, message.index))


class OperatorGoal:
    """A goal that the planner has accepted."""

    def __init__(self, handle: Any, result: Future, client: OperatorClient) -> None:
        self._handle, self._result, self._client = handle, result, client

    @property
    def done(self) -> bool:
        """Whether the planner has ended the goal."""
        return self._result.done()

    def result(self) -> Any:
        """The action's Result, once done."""
        return self._result.result().result

    def cancel(self) -> None:
        """Ask the planner to stop."""
        self._client.ask("cancelling", self._handle.cancel_goal_async)
