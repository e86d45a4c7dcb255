"""What the planner node publishes: command first, then timing and plan, and pictures when somebody looks."""

import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from kdp_msgs.msg import Plan, Timing
from nav_msgs.msg import Path
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from visualization_msgs.msg import MarkerArray

from kdp_planner_ros.field_map import float_array
from kdp_planner_ros.inputs import CommandWriter
from kdp_planner_ros.markers import MarkerBuilder
from kdp_planner_ros.rate import RateLimit

NEWEST = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
NEWEST_STATE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# The monitor wants every row, also when it is late for a while.
TIMING = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=200, reliability=ReliabilityPolicy.RELIABLE)


class PlanOutputs:
    """Lifecycle publishers of one configured planner; they are silent unless the node is active."""

    def __init__(
        self, node: Any, spec: Any, frame_id: str, marker_rate_hz: float, marker_scale: float = 1.0
    ) -> None:
        self._node, self._spec, self._frame_id = node, spec, frame_id
        self._marker_scale = marker_scale
        self.command_writer = CommandWriter(spec.action)
        make = node.create_lifecycle_publisher
        self._command = make(self.command_writer.message_class, self.command_writer.topic, NEWEST)
        self._timing = make(Timing, "planner/timing", TIMING)
        self._plan = make(Plan, "plan", NEWEST)
        self._candidates = make(Plan, "plan_candidates", NEWEST)
        self._path = make(Path, "plan_path", NEWEST)
        self._markers = make(MarkerArray, "plan_markers", NEWEST)
        self.set_marker_rate(marker_rate_hz)

    def set_marker_rate(self, rate_hz: float) -> None:
        """Rate of path, candidates and markers, Hz."""
        self._marker_limit = RateLimit(rate_hz)
        self._builder = MarkerBuilder(self._frame_id, 3.0 / rate_hz, self._marker_scale)

    def destroy(self) -> None:
        """Remove all publishers from the node."""
        for publisher in (
            self._command,
            self._timing,
            self._plan,
            self._candidates,
            self._path,
            self._markers,
        ):
            self._node.destroy_lifecycle_publisher(publisher)

    def command(self, action: np.ndarray, stamp: Any) -> int:
        """Publish the action (d_a,); returns the monotonic time of it, ns."""
        self._command.publish(self.command_writer.message(action, stamp, self._frame_id))
        return time.monotonic_ns()

    def timing(self, stamp: Any, stamps_ns: tuple[int, int, int, int], missed: bool, safe: bool) -> None:
        """Publish one cycle's monotonic times: state received, plan start, plan end, command published."""
        received, start, end, published = stamps_ns
        msg = Timing(
            source=self._node.get_name(),
            state_received_ns=received,
            plan_start_ns=start,
            plan_end_ns=end,
            command_published_ns=published,
            deadline_missed=missed,
            safe_action=safe,
        )
        msg.header.stamp = stamp
        msg.header.frame_id = self._frame_id
        self._timing.publish(msg)

    def _plan_message(self, stamp: Any, decision: Any, windows: np.ndarray, paths: np.ndarray | None) -> Plan:
        """`windows` (n, H, D), `paths` (n, H, 3)."""
        msg = Plan(spec_name=self._spec.name, step_s=float(self._spec.step_s))
        msg.header.stamp = stamp
        msg.header.frame_id = self._frame_id
        msg.candidates = len(decision.plan.scores)
        msg.index = int(decision.plan.index)
        msg.safe_action, msg.reason = bool(decision.safe), decision.reason
        msg.scores = float_array(decision.plan.scores)
        msg.shape = list(windows.shape)
        msg.windows = float_array(windows)
        if paths is not None:
            msg.paths = float_array(paths)
        return msg

    def plan(self, stamp: Any, decision: Any) -> None:
        """Publish the chosen window, if somebody listens."""
        if decision.plan is None or self._plan.get_subscription_count() == 0:
            return
        chosen = decision.plan.window[None] if decision.plan.index >= 0 else decision.plan.windows[:0]
        path = None if decision.path is None or decision.plan.index < 0 else decision.path[None]
        self._plan.publish(self._plan_message(stamp, decision, chosen, path))

    def pictures(self, stamp: Any, decision: Any, inputs: dict, controller: Any, now_ns: int) -> None:
        """Publish path, candidates and markers at the marker rate, each only if somebody listens."""
        path, candidates, markers = (
            publisher.get_subscription_count() > 0
            for publisher in (self._path, self._candidates, self._markers)
        )
        if not (path or candidates or markers) or not self._marker_limit.ready(now_ns):
            return
        if path and decision.path is not None:
            self._path.publish(self._path_message(stamp, decision.path))
        if not (candidates or markers):
            return
        paths = None if decision.plan is None else np.asarray(controller.paths(decision.plan, inputs))
        if candidates and decision.plan is not None:
            self._candidates.publish(self._plan_message(stamp, decision, decision.plan.windows, paths))
        if markers:
            array = self._builder.build(
                stamp,
                candidates=None if paths is None else (paths, decision.plan.scores),
                chosen=decision.path,
                goal=inputs["goal"],
                rows={c.name: inputs[c.name] for c in self._spec.inputs if c.rows},
                safe_reason=decision.reason if decision.safe else "",
            )
            self._markers.publish(array)

    def _path_message(self, stamp: Any, path: np.ndarray) -> Path:
        msg = Path()
        msg.header.stamp = stamp
        msg.header.frame_id = self._frame_id
        for x, y, z in np.asarray(path, dtype=float).tolist():
            pose = PoseStamped(header=msg.header)
            pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = x, y, z
            pose.pose.orientation.w = 1.0
            msg.poses.append(pose)
        return msg
