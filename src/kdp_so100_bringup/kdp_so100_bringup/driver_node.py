"""Lifecycle node `so100_driver`: topics and services around `ArmControl` and a servo bus."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from kdp_msgs.msg import JointCommand, RobotStatus, Timing
from kdp_msgs.srv import Arm, Trigger
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from kdp_core.exceptions import ConfigError, KdpError
from kdp_planner_ros.managed_node import ManagedNode
from kdp_planner_ros.process import run
from kdp_planner_ros.receipt_book import ReceiptBook
from kdp_so100_bringup import driver_messages
from kdp_so100_bringup.arm_control import ArmControl, NotReady, Sent
from kdp_so100_bringup.arm_link import ArmLink, ArmState
from kdp_so100_bringup.arm_phase import Phase
from kdp_so100_bringup.calibration import Calibration
from kdp_so100_bringup.driver_parameters import (
    LIVE,
    declare_parameters,
    load_calibration,
    parameter_values,
    settings_from,
)
from kdp_so100_bringup.safety import CommandRefused
from kdp_so100_bringup.trajectory import Trajectory

UPDATE_S = 0.02
STOP_ON_EXIT_S = 10.0
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
TIMING = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)


class So100Driver(ManagedNode):
    """Publishes the state from the reading thread; commands and services run in the executor."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("so100_driver", **node_options)
        declare_parameters(self)
        self.settings = settings_from(parameter_values(self), None)
        self.calibration: Calibration | None = None
        self.control: ArmControl | None = None
        self._last_state = (-1, "")
        self._receipts = ReceiptBook()
        self._joints = self.create_publisher(JointState, "joint_states", NEWEST)
        self._status = self.create_publisher(RobotStatus, "status", NEWEST)
        self._timing = self.create_publisher(Timing, "driver/timing", TIMING)
        for kind, topic, callback in (
            (JointCommand, "joint_command", self._on_command),
            (Float64MultiArray, "forward_command_controller/commands", self._on_array),
            (JointTrajectory, "joint_trajectory_controller/joint_trajectory", self._on_trajectory),
        ):
            self.create_subscription(kind, topic, callback, NEWEST)
        self._serve(Arm, "torque", lambda c, r: c.torque(r.arm))
        self._serve(Trigger, "rest", lambda c, _r: c.go_to_rest(time.monotonic()))
        self._serve(Trigger, "emergency", lambda c, _r: c.torque(False))
        self.create_timer(UPDATE_S, self._update)
        self.create_timer(1.0 / self.settings.status_rate, self._publish_status)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)

    # ---- lifecycle

    def start(self) -> None:
        """Configure and activate. Raises ConfigError if that fails."""
        values = parameter_values(self)
        settings_from(values, load_calibration(values))  # one line instead of a failed transition
        for step in (self.trigger_configure, self.trigger_activate):
            if step() != TransitionCallbackReturn.SUCCESS:
                raise ConfigError("so100_driver: could not start, see the log")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read parameters and calibration file."""
        try:
            values = parameter_values(self)
            self.calibration = load_calibration(values)
            self.settings = settings_from(values, self.calibration)
        except KdpError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Connect in the background. Never switches the torque."""
        settings = self.settings
        assert self.calibration is not None
        try:
            link = ArmLink(settings.link, self.calibration, self._on_state, self._report)
        except KdpError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self.control = ArmControl(
            link,
            settings.limits,
            settings.timeouts,
            settings.guards,
            settings.rest,
            settings.rest_speed,
            self._report,
        )
        link.open()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop safely, and disconnect."""
        self.disconnect()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivating."""
        self.disconnect()
        return super().on_shutdown(state)

    def disconnect(self) -> None:
        """Stop as the parameter `stop` says (waits up to STOP_ON_EXIT_S), and close the port."""
        control = self.control
        if control is None:
            return
        deadline = time.monotonic() + STOP_ON_EXIT_S
        stop = self.settings.timeouts.stop
        if control.phases.powered and stop != "hold":
            if stop == "torque_off":  # those that hear it, whoever does not answer
                control.torque(False)
            elif control.phases.phase is not Phase.LOWERING and control.fresh_state() is not None:
                self._report("info", "lowering the arm before the port is closed")
                control.go_to_rest(time.monotonic())
            while control.phases.phase is Phase.LOWERING and time.monotonic() < deadline:
                if not control.link.connected:  # pulled meanwhile: nothing more can be done from here
                    break
                control.update(time.monotonic())
                time.sleep(UPDATE_S)
        if control.link.off_wanted:  # a last time
            control.torque(False)
        if control.link.off_wanted or (control.phases.powered and stop != "hold"):
            why = control.fault()[0] or f"not lowered within {STOP_ON_EXIT_S:g} s"
            self._report("error", f"servos are left under torque ({why}): hold the arm, and take their power")
        self.control = None
        control.link.close()

    # ---- state

    def _on_state(self, state: ArmState) -> None:
        """Publish one state; runs in the reading thread, so that nothing queues in between."""
        if self.control is None or not self.context.ok():
            return
        stamp = self.get_clock().now().to_msg()
        self._receipts.put(stamp, state.started_ns)  # end to end begins where the read begins
        self._joints.publish(driver_messages.joint_state(state, stamp, self.settings.frame_id))

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
        message.header.frame_id = self.settings.frame_id
        self._last_state = (message.state, message.fault)
        self._status.publish(message)

    # ---- commands

    def _on_command(self, message: JointCommand) -> None:
        received_ns = time.monotonic_ns()
        header = message.header
        age = self._age_s(header.stamp)
        sent = self._execute(lambda c: c.command(message.positions, age, time.monotonic()))
        if sent is None:
            return
        timing = Timing(source=self.get_name(), payload_crc=sent.crc)
        timing.header = header
        timing.state_received_ns = self._receipts.get(header.stamp)
        timing.command_received_ns, timing.command_sent_ns = received_ns, sent.sent_ns
        self._timing.publish(timing)

    def _on_array(self, message: Float64MultiArray) -> None:
        self._execute(lambda c: c.command(message.data, None, time.monotonic()))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        def follow(control: ArmControl) -> None:
            state = control.fresh_state()
            if state is None:
                raise NotReady("no state")
            points = [(_seconds(p.time_from_start), p.positions) for p in message.points]
            try:
                trajectory = Trajectory(message.joint_names, points, state.joints, time.monotonic())
            except CommandRefused:
                control.refuse()
                raise
            control.follow(trajectory)

        self._execute(follow)

    def _execute(self, action: Callable[[ArmControl], Sent | None]) -> Sent | None:
        """Run a command; None when it was refused, with the reason in the log."""
        if self.control is None:
            return None
        try:
            return action(self.control)
        except NotReady as reason:
            self.get_logger().info(f"command ignored: {reason}", throttle_duration_sec=5.0)
        except CommandRefused as reason:
            self.get_logger().warning(f"command refused: {reason}", throttle_duration_sec=1.0)
        return None

    def _age_s(self, stamp: Any) -> float | None:
        if stamp.sec == 0 and stamp.nanosec == 0:
            return None
        now = self.get_clock().now().nanoseconds
        return (now - (stamp.sec * 1_000_000_000 + stamp.nanosec)) * 1e-9

    # ---- services

    def _serve(self, kind: Any, name: str, answer: Callable[[ArmControl, Any], tuple[bool, str]]) -> None:
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
            settings_from(values, self.calibration)
        except KdpError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _parameters: list[Parameter]) -> None:
        self.settings = settings_from(parameter_values(self), self.calibration)
        if self.control is not None:
            self.control.guard.limits = self.settings.limits
            self.control.phases.timeouts = self.settings.timeouts
            self.control.servos.limits = self.settings.guards

    def _report(self, level: str, text: str) -> None:
        if not self.context.ok():  # stopping: the log's topic is gone
            print(text, file=sys.stderr)
            return
        logger = self.get_logger()
        if level == "error":
            logger.error(text)
        else:
            logger.info(text)


def _seconds(duration: Any) -> float:
    return float(duration.sec + duration.nanosec * 1e-9)


def _start() -> So100Driver:
    node = So100Driver()
    if node.settings.autostart:
        node.start()
    return node


def main() -> None:
    """Run the driver."""
    run(_start, lambda node: node.disconnect())


if __name__ == "__main__":
    main()
