"""Lifecycle node around the control loop: parameters, transitions, diagnostics. No mathematics in here."""

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from kdp_core.exceptions import ConfigError, KdpError
from kdp_planner_ros.control_loop import ControlLoop
from kdp_planner_ros.diagnostics import planner_status
from kdp_planner_ros.managed_node import ManagedNode
from kdp_planner_ros.parameters import STRUCTURAL, Settings, declare_parameters, read_settings
from kdp_planner_ros.process import run

WATCHDOG_PERIOD_S = 0.05
DIAGNOSTICS_PERIOD_S = 1.0


def load_controller(settings: Settings) -> Any:
    """The controller of the artifact that the parameters name. Raises KdpError."""
    from kdp_core.artifact import require_not_diverged
    from kdp_core.controller import Controller  # loads the inference runtime: not before it is needed

    if not settings.artifact:
        raise ConfigError("parameter 'artifact' is empty: expected the folder of an exported planner")
    controller = Controller.load(
        settings.artifact,
        candidates=settings.candidates,
        seed=settings.seed,
        execute=settings.execute,
        threads=settings.threads,
        chunk=settings.chunk,
    )
    require_not_diverged(controller.source.artifact)
    return controller


class PlannerNode(ManagedNode):
    """The node ``planner``; `load` makes its controller from the parameters at configure."""

    def __init__(self, load: Callable[[Settings], Any] = load_controller, **node_options: Any) -> None:
        super().__init__("planner", **node_options)
        self._load = load
        self.settings = declare_parameters(self)
        self.loop: ControlLoop | None = None
        self._fault = "not configured"
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._apply_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)
        self.create_timer(WATCHDOG_PERIOD_S, self._watch)

    def start(self) -> None:
        """Configure and activate. Raises ConfigError that says why not."""
        if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
            raise ConfigError(self._fault)
        if self.trigger_activate() != TransitionCallbackReturn.SUCCESS:
            raise ConfigError("planner: could not activate")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the artifact and connect the topics that its spec names."""
        try:
            controller = self._load(self.settings)
            self.loop = ControlLoop(self, controller, self.settings)
        except KdpError as error:
            self._fault = str(error)
            self.get_logger().error(self._fault)
            return TransitionCallbackReturn.FAILURE
        self.get_logger().info(
            f"configured '{controller.spec.name}', K = {self.settings.candidates}, {self.settings.artifact}"
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to answer states with commands; this never arms a robot."""
        self.loop.active = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop commanding at once; the goal ends as DEACTIVATED."""
        self.loop.stop("planner was deactivated")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget artifact, topics and inputs."""
        result = super().on_cleanup(state)
        self.loop.destroy()
        self.loop, self._fault = None, "not configured"
        return result

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop commanding for good."""
        if self.loop is not None:
            self.loop.stop("planner was shut down")
        return super().on_shutdown(state)

    def _check_parameters(self, parameters: list) -> SetParametersResult:
        """Types and ranges were checked by rclpy; here: what must not change while configured."""
        changed = [p.name for p in parameters if p.name in STRUCTURAL and self.loop is not None]
        if changed:
            reason = f"{', '.join(changed)}: takes effect at configure; clean up the node first"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _apply_parameters(self, _parameters: list) -> None:
        self.settings = read_settings(self)
        if self.loop is not None:
            self.loop.apply(self.settings)

    def _watch(self) -> None:
        if self.loop is not None:
            self.loop.watch()

    def _publish_diagnostics(self) -> None:
        name = f"{self.get_namespace().rstrip('/')}/{self.get_name()}"
        status = planner_status(
            name, self.loop, self._fault, self.settings.state_timeout_s, time.monotonic_ns()
        )
        msg = DiagnosticArray(status=[status])
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(msg)


def _make() -> PlannerNode:
    node = PlannerNode()
    if node.settings.autostart:
        try:
            node.start()
        except ConfigError:
            node.destroy_node()
            raise
    return node


def main() -> None:
    """Entry point of the process ``planner``."""
    run(_make, lambda node: node.loop and node.loop.stop("planner stopped"))


if __name__ == "__main__":
    main()
