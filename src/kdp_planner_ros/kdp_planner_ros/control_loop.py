"""The control cycle: newest complete state -> controller -> command; and the goal's life around it."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from kdp_msgs.msg import RobotStatus
from rclpy.qos import qos_profile_sensor_data

from kdp_core.exceptions import InputError
from kdp_planner_ros.goal import Goal, GoalCode, GoalKeeper, GoalResult
from kdp_planner_ros.goal_action import GoalActionServer
from kdp_planner_ros.inputs import TopicInputs, goal_topic, topics_of
from kdp_planner_ros.outputs import LATCHED, NEWEST, NEWEST_STATE, PlanOutputs
from kdp_planner_ros.parameters import Settings
from kdp_planner_ros.rate import RateLimit
from kdp_planner_ros.statistics import CycleStatistics

FARTHEST_GOAL_M = 1000.0  # beyond this a coordinate is a mistake
STOPPED_S = 2.0  # a robot that stops for longer, to land say, must not go on to the old goal afterwards
FIRST_STATE_S = 5.0  # patience with the very first state: two fresh processes may need long to meet


class ControlLoop:
    """Everything of one configured planner: subscriptions, inputs, goal, cycle. Nothing in here queues.

    The first input topic of the spec carries the state: its arrival starts a cycle, at most at the rate.
    Raises SpecError when the spec cannot be connected to ROS, ConfigError for an unusable action.
    """

    def __init__(self, node: Any, controller: Any, settings: Settings) -> None:
        self._node, self.controller = node, controller
        self.goals = GoalKeeper()
        self.statistics = CycleStatistics()
        self.active = False
        self.state_ns = 0  # receipt of the newest usable state, monotonic; 0: none yet
        self.blocked = "no state message yet"  # why no command goes out, "" if nothing is wrong
        self._values: dict[str, np.ndarray] = {}
        self._refusals: dict[str, str] = {}
        self._taken_ns: dict[str, int] = {}  # receipt of each topic that must not fall silent
        self._hold_until_ns = 0
        self._hold_action: np.ndarray | None = None  # the same while it holds: the state creeps
        self._last_goal: np.ndarray | None = None
        self._robot_moves = False  # whether the driver said that it executes commands
        self._stopped_ns = 0  # since when it does not any more, 0: it does, or never did
        self._stopped_why = ""
        topics = topics_of(controller.spec.inputs)
        goal = goal_topic(topics, controller.spec.name)
        self._goal_reader = goal.readers["goal"]
        self._names = [declared.name for declared in controller.spec.inputs if declared.name != "goal"]
        self.outputs = PlanOutputs(
            node, controller.spec, settings.frame_id, settings.marker_rate_hz, settings.marker_scale
        )
        self.apply(settings)
        self._subscriptions = [
            node.create_subscription(goal.message_class, goal.topic, self._on_goal, NEWEST),
            node.create_subscription(RobotStatus, "status", self._on_robot, qos_profile_sensor_data),
        ]
        for topic in topics:
            if topic is goal:
                continue
            qos = LATCHED if topic.topic in settings.latched_topics else NEWEST_STATE
            callback = partial(self._on_state if topic is topics[0] else self._take, topic)
            self._subscriptions.append(
                node.create_subscription(topic.message_class, topic.topic, callback, qos)
            )
        action = settings.goal_action, settings.goal_action_type
        self.action = GoalActionServer(node, action, self.goals, self.read_goal, self.start_goal)

    def apply(self, settings: Settings) -> None:
        """Take changed parameters."""
        self._settings = settings
        self._cycle_limit = RateLimit(settings.rate_hz or self.controller.spec.rate_hz)
        self._feedback_limit = RateLimit(settings.feedback_rate_hz)
        self.outputs.set_marker_rate(settings.marker_rate_hz)

    def stop(self, reason: str) -> None:
        """End the goal as DEACTIVATED and command nothing any more."""
        self._ended(self.goals.end(GoalCode.DEACTIVATED, reason, time.monotonic_ns()))
        self.active = False
        self._hold_until_ns = 0

    def destroy(self) -> None:
        """Disconnect from ROS."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self.action.destroy()
        self.outputs.destroy()

    # ---- goals

    def read_goal(self, msg: Any) -> np.ndarray:
        """Goal position (3,) of a PoseStamped. Raises InputError when it must be refused."""
        if not self.active:
            raise InputError("planner is not active")
        frame = msg.header.frame_id
        if frame != self._settings.frame_id:
            raise InputError(f"goal in frame '{frame}', expected '{self._settings.frame_id}'")
        position = self._goal_reader.read(msg)
        if not np.isfinite(position).all():
            raise InputError("goal is not finite")
        if np.abs(position).max() > FARTHEST_GOAL_M:
            raise InputError(f"goal {position.tolist()}: expected within {FARTHEST_GOAL_M:g} m")
        if position[2] == 0.0:  # RViz's 2D goals
            position[2] = self._settings.goal_z
        return position

    def start_goal(
        self,
        position: np.ndarray,
        tolerance: float = 0.0,
        timeout_s: float = 0.0,
        on_end: Callable[[GoalResult], None] | None = None,
    ) -> Goal:
        """Pursue `position` (3,) m from now on; zeros mean the parameters' tolerance and timeout."""
        settings = self._settings
        self._stopped_ns = 0
        goal = Goal(
            position=position,
            tolerance=tolerance or settings.goal_tolerance,
            timeout_s=timeout_s or settings.goal_timeout_s,
            started_ns=time.monotonic_ns(),
            on_end=on_end,
            hold_s=settings.success_hold_s,
        )
        self.goals.start(goal)
        self.controller.reset()
        self._last_goal = position
        self._node.get_logger().info(f"goal {np.round(position, 2).tolist()}")
        commands = self.outputs.command_writer.topic
        if self._node.count_publishers(commands) > 1:
            self._node.get_logger().error(f"another node publishes on {commands}, too: two take turns")
        return goal

    def _on_robot(self, msg: RobotStatus) -> None:
        """Note when the driver stops executing commands; `watch` draws the conclusion."""
        if msg.can_move:
            self._stopped_ns = 0
        elif self._robot_moves:
            self._stopped_ns = time.monotonic_ns()
            self._stopped_why = msg.fault or msg.message or "see its status"
        self._robot_moves = msg.can_move

    def _on_goal(self, msg: Any) -> None:
        try:
            self.start_goal(self.read_goal(msg))
        except InputError as error:
            self._node.get_logger().warning(f"goal refused: {error}")

    def _ended(self, result: GoalResult | None) -> bool:
        """Log the end of a goal; hold for a while, unless nobody knows where the robot is."""
        if result is None:
            return False
        if result.code is not GoalCode.STATE_LOST:
            self._hold_until_ns = time.monotonic_ns() + int(self._settings.hold_s * 1e9)
            self._hold_action = None
        outcome = "reached" if result.success else f"ended, {result.code.name}"
        self._node.get_logger().info(f"goal {outcome} after {result.time_s:.2f} s: {result.reason}")
        return True

    # ---- inputs

    def _take(self, topic: TopicInputs, msg: Any) -> bool:
        """Keep the newest values of a topic; an unusable message leaves none to plan from."""
        try:
            self._values.update(topic.read(msg, self._settings.frame_id))
            self._refusals.pop(topic.topic, None)
            if topic.topic not in self._settings.latched_topics:
                self._taken_ns[topic.topic] = time.monotonic_ns()
            return True
        except InputError as error:
            for name in topic.readers:
                self._values.pop(name, None)
            self._refusals[topic.topic] = str(error)
            self._block(str(error))
            return False

    def _block(self, reason: str) -> None:
        if reason and reason != self.blocked:
            self._node.get_logger().warning(f"no command: {reason}")
        elif self.blocked and not reason:
            self._node.get_logger().info("ready: all inputs are there")
        self.blocked = reason

    def _lost(self) -> str:
        """Which input was there and is not usable any more, "" if none."""
        if self._refusals:
            return next(iter(self._refusals.values()))
        if not self._taken_ns:
            return ""
        oldest, topic = min((taken, topic) for topic, taken in self._taken_ns.items())
        age_s = (time.monotonic_ns() - oldest) * 1e-9
        return f"{topic}: {age_s:.2f} s old" if age_s > self._settings.state_timeout_s else ""

    def _why_incomplete(self) -> str:
        """Why the inputs are not complete, "" if they are."""
        missing = [name for name in self._names if name not in self._values]
        return self._lost() or (f"waiting for {', '.join(missing)}" if missing else "")

    # ---- cycle

    def _on_state(self, topic: TopicInputs, msg: Any) -> None:
        received = time.monotonic_ns()
        if not self._take(topic, msg):
            return
        goal = self.goals.current
        if goal is None or not self.active:
            self.state_ns = received
            self._block(self._why_incomplete())
            if self.active and received < self._hold_until_ns and self._cycle_limit.ready(received):
                self._hold(msg.header.stamp)
            return
        if not self._cycle_limit.ready(received):
            return
        reason = self._why_incomplete()
        if not reason:
            try:
                self._cycle(goal, {**self._values, "goal": goal.position}, msg.header.stamp, received)
            except InputError as error:
                self._block(str(error))
                return
        if not self._lost():
            self.state_ns = received
        self._block(reason)

    def _hold(self, stamp: Any) -> None:
        """Command the task's safe action of the moment when the goal ended, if it can be told."""
        if self._hold_action is None:
            if self._why_incomplete() or self._last_goal is None:
                return
            try:
                self._hold_action = self.controller.task.safe_action(
                    {**self._values, "goal": self._last_goal}
                )
            except InputError as error:  # nothing perceived any more, say
                self._block(str(error))
                return
        self.outputs.command(self._hold_action, stamp)

    def _cycle(self, goal: Goal, inputs: dict[str, np.ndarray], stamp: Any, received: int) -> None:
        """Plan and command; everything that can wait comes after the command."""
        task, outputs = self.controller.task, self.outputs
        ended = self.action.check_cancel(received) or self.goals.reached(
            task.distance(inputs), task.success(inputs), received
        )
        if self._ended(ended):
            self._hold(stamp)
            return
        start = time.monotonic_ns()
        decision = self.controller.step(inputs, received * 1e-9)
        end = time.monotonic_ns()
        published = outputs.command(decision.action, stamp)
        if not decision.replanned:  # another row of the last plan
            return
        missed = published - received > self._cycle_limit.period_ns
        outputs.timing(stamp, (received, start, end, published), missed, decision.safe)
        goal.plans += 1
        if decision.safe:
            goal.without_plan += 1
            self._node.get_logger().warning(f"safe action: {decision.reason}", throttle_duration_sec=2.0)
        self.statistics.add(end, end - start, missed, decision.safe)
        outputs.plan(stamp, decision)
        if self.action.active() and self._feedback_limit.ready(received):
            self.action.feedback(received)
        outputs.pictures(stamp, decision, inputs, self.controller, received)
        self.controller.prepare()

    def watch(self) -> None:
        """What must happen without states, too: cancelling, lost state, time-out. Called by a timer."""
        goal = self.goals.current
        if goal is None:
            return
        now = time.monotonic_ns()
        self._ended(self.action.check_cancel(now))
        silence_s = (now - max(self.state_ns, goal.started_ns)) * 1e-9
        patience_s = self._settings.state_timeout_s
        if silence_s > (patience_s if self.state_ns else max(patience_s, FIRST_STATE_S)):
            reason = f"{self.blocked or 'no state message'} for {silence_s:.2f} s"
            self._ended(self.goals.end(GoalCode.STATE_LOST, reason, now))
        if self._stopped_ns and now - self._stopped_ns > STOPPED_S * 1e9:
            reason = f"the robot takes no commands any more: {self._stopped_why}"
            self._ended(self.goals.end(GoalCode.STATE_LOST, reason, now))
        self._ended(self.goals.check_timeout(now))
