# SPDX-License-Identifier: GPL-3.0-or-later
"""Lifecycle node `crazyflie_driver`: topics and services around `FlightControl` and a cflib link."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from kdp_msgs.msg import Hover, Position, RobotStatus, Timing, VelocityWorld
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from kdp_core.exceptions import ConfigError, KdpError
from kdp_crazyflie_bringup import driver_messages
from kdp_crazyflie_bringup.crazyflie_link import CrazyflieLink
from kdp_crazyflie_bringup.driver_parameters import LIVE, declare_parameters, parameter_values, settings_from
from kdp_crazyflie_bringup.driver_rival import RivalSearch
from kdp_crazyflie_bringup.driver_services import SERVICES
from kdp_crazyflie_bringup.drone_state import DroneState
from kdp_crazyflie_bringup.flight_control import FlightControl
from kdp_crazyflie_bringup.motion_commands import NotFlying
from kdp_crazyflie_bringup.safety import CommandRefused
from kdp_planner_ros.managed_node import ManagedNode
from kdp_planner_ros.process import run
from kdp_planner_ros.receipt_book import ReceiptBook

UPDATE_S = 0.02  # half of it is how late a hover comes on average
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
TIMING = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


class CrazyflieDriver(ManagedNode):
    """Publishes the state from cflib's receiving thread; commands and services run in the executor."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("crazyflie_driver", **node_options)
        declare_parameters(self)
        self.robot = self.get_namespace().strip("/") or "cf1"
        self.settings = settings_from(parameter_values(self), self.robot)
        self.control: FlightControl | None = None
        self._last_state = (-1, "")
        self._receipts = ReceiptBook()
        self._odom = self.create_publisher(Odometry, "odom", NEWEST)
        self._pose = self.create_publisher(PoseStamped, "pose", NEWEST)
        self._status = self.create_publisher(RobotStatus, "status", NEWEST)
        self._timing = self.create_publisher(Timing, "driver/timing", TIMING)
        self._rivals = RivalSearch(self, self._on_rival)
        self.create_subscription(VelocityWorld, "cmd_velocity_world", self._on_velocity, NEWEST)
        self.create_subscription(Hover, "cmd_hover", self._on_hover, NEWEST)
        self.create_subscription(Position, "cmd_position", self._on_position, NEWEST)
        for service in SERVICES:
            self._serve(*service)
        self.create_timer(UPDATE_S, self._update)
        self.create_timer(1.0 / self.settings.status_rate, self._publish_status)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    # ---- lifecycle

    def start(self) -> None:
        """Configure and activate. Raises ConfigError if that fails."""
        for step in (self.trigger_configure, self.trigger_activate):
            if step() != TransitionCallbackReturn.SUCCESS:
                raise ConfigError("crazyflie_driver: could not start, see the log")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters."""
        try:
            self.settings = settings_from(parameter_values(self), self.robot)
        except KdpError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Connect in the background, unless another driver does already. Never arms."""
        if self._rivals.find(max(0.3, 2.5 / self.settings.status_rate)):
            self.get_logger().error(self._rival_text())
            return TransitionCallbackReturn.FAILURE
        link = CrazyflieLink(self.settings.link, self._on_state, self._report)
        self.control = FlightControl(link, self.settings.limits, self.settings.timeouts, self._report)
        link.open()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Land if in flight, and disconnect."""
        self.disconnect()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivating."""
        self.disconnect()
        return super().on_shutdown(state)

    def disconnect(self) -> None:
        """Land if in flight, wait until the motors are off, and close the link."""
        control, self.control = self.control, None
        if control is None:
            return
        if control.in_flight():
            self.get_logger().warning("in flight: landing before the link is closed")
            if not control.come_down(time.monotonic, lambda: time.sleep(UPDATE_S)):
                self.get_logger().error("the drone was not seen to land: it may still be armed")
        # Without a state nobody knows whether it flies: then it counts as flying, too.
        control.link.close(in_flight=control.in_flight() or control.fresh_state() is None)

    def _on_rival(self) -> None:
        """Another driver was heard while this one is active: the newcomer ends and leaves the drone alone."""
        control = self.control
        if control is None:
            return
        if not self._rivals.young:
            self.get_logger().error(self._rival_text(), throttle_duration_sec=5.0)
            return
        self.control = None
        control.link.close(in_flight=True)
        raise ConfigError(self._rival_text())

    def _rival_text(self) -> str:
        return f"another driver publishes {self._rivals.topic}: stop one, two cannot fly one drone"

    # ---- state

    def _on_state(self, state: DroneState) -> None:
        """Publish one state; runs in cflib's receiving thread, so that nothing queues in between."""
        if self.control is None or not self.context.ok():
            return
        stamp = self.get_clock().now().to_msg()
        self._receipts.put(stamp, state.received_ns)
        world = self.settings.world_frame
        try:
            self._odom.publish(driver_messages.odometry(state, stamp, world, f"{self.robot}/base_link"))
            self._pose.publish(driver_messages.pose(state, stamp, world))
        except RCLError:  # a signal has shut the context down in the meantime: cflib's thread must go on
            if self.context.ok():
                raise

    def _update(self) -> None:
        if self.control is None:
            return
        self.control.update(time.monotonic())
        status = driver_messages.robot_status(self.control, time.monotonic())
        if (status.state, status.fault) != self._last_state:
            self._publish_status()

    def _publish_status(self) -> None:
        message = driver_messages.robot_status(self.control, time.monotonic())
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self.settings.world_frame
        self._last_state = (message.state, message.fault)
        self._rivals.own(message)
        self._status.publish(message)

    # ---- commands

    def _on_velocity(self, message: VelocityWorld) -> None:
        v = message.vel
        self._command(message, lambda c, age, now: c.velocity((v.x, v.y, v.z), message.yaw_rate, age, now))

    def _on_hover(self, m: Hover) -> None:
        self._command(m, lambda c, age, now: c.hover((m.vx, m.vy), m.yaw_rate, m.z_distance, age, now))

    def _on_position(self, m: Position) -> None:
        self._command(m, lambda c, age, now: c.position((m.x, m.y, m.z), m.yaw, age, now))

    def _command(self, message: Any, execute: Callable[[FlightControl, float | None, float], int]) -> None:
        received_ns = time.monotonic_ns()
        control = self.control
        if control is None:
            return
        header = message.header
        try:
            if header.frame_id not in ("", self.settings.world_frame) and not isinstance(message, Hover):
                control.refused += 1
                raise CommandRefused(f"frame {header.frame_id!r} is not {self.settings.world_frame!r}")
            # Before the call, because the simulated robot may have the packet before the call returns.
            sent_ns = time.monotonic_ns()
            crc = execute(control, self._age_s(header.stamp), sent_ns * 1e-9)
        except NotFlying as reason:
            self.get_logger().info(f"command ignored: {reason}", throttle_duration_sec=5.0)
            return
        except CommandRefused as reason:
            self.get_logger().warning(f"command refused: {reason}", throttle_duration_sec=1.0)
            return
        timing = Timing(source=self.get_name(), payload_crc=crc)
        timing.header = header
        timing.state_received_ns = self._receipts.get(header.stamp)
        timing.command_received_ns, timing.command_sent_ns = received_ns, sent_ns
        self._timing.publish(timing)

    def _age_s(self, stamp: Any) -> float | None:
        if stamp.sec == 0 and stamp.nanosec == 0:
            return None
        now = self.get_clock().now().nanoseconds
        return (now - (stamp.sec * 1_000_000_000 + stamp.nanosec)) * 1e-9

    # ---- services

    def _serve(self, kind: Any, name: str, answer: Callable[[FlightControl, Any], tuple[bool, str]]) -> None:
        def callback(request: Any, response: Any) -> Any:
            control = self.control
            done, text = (False, "the driver is not active") if control is None else answer(control, request)
            response.success, response.message = done, text
            self._report("info" if done else "error", f"{name}: {text or 'done'}")
            return response

        self.create_service(kind, name, callback)

    # ---- parameters

    def _check_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if self.control is not None and parameter.name not in LIVE:
                reason = f"{parameter.name}: takes effect on activation; deactivate the node first"
                return SetParametersResult(successful=False, reason=reason)
        values = parameter_values(self) | {p.name: p.value for p in parameters}
        try:
            settings_from(values, self.robot)
        except KdpError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _parameters: list[Parameter]) -> None:
        self.settings = settings_from(parameter_values(self), self.robot)
        if self.control is not None:
            self.control.limits = self.settings.limits
            self.control.guard.limits = self.settings.limits
            self.control.phases.timeouts = self.settings.timeouts

    def _report(self, level: str, text: str) -> None:
        logger = self.get_logger()
        if level == "error":
            logger.error(text)
        else:
            logger.info(text)


def _start() -> CrazyflieDriver:
    node = CrazyflieDriver()
    if node.settings.autostart:
        node.start()
    return node


def main() -> None:
    """Run the driver."""
    run(_start, lambda node: node.disconnect())


if __name__ == "__main__":
    main()
