"""The goal as an action; it ends from the control tick and never blocks the executor.

Which action is a parameter: any whose goal has `goal`, `tolerance`, `timeout_s`, and whose result and
feedback have the fields of kdp_msgs/action/FlyTo.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.action import ActionServer, CancelResponse
from rclpy.task import Future

from kdp_core.exceptions import ConfigError, InputError
from kdp_planner_ros.goal import Goal, GoalCode, GoalKeeper, GoalResult

_FIELDS = {
    "Goal": {"goal": "geometry_msgs/PoseStamped", "tolerance": "float", "timeout_s": "float"},
    "Result": {
        "success": "boolean",
        "error_code": "uint8",
        "reason": "string",
        "time_s": "float",
        "final_distance": "float",
        "plans": "uint32",
    },
    "Feedback": {"distance": "float", "plans_per_second": "float", "time_s": "float"},
}


def action_class(type_name: str) -> type:
    """Import an action by its name, as ``kdp_msgs/action/FlyTo``. Raises ConfigError naming what is wrong."""
    parts = type_name.split("/")
    if len(parts) != 3 or parts[1] != "action":
        raise ConfigError(f"goal_action_type '{type_name}': expected 'package/action/Type'")
    try:
        found: type = getattr(importlib.import_module(f"{parts[0]}.action"), parts[2])
    except (ImportError, AttributeError):
        raise ConfigError(f"goal_action_type '{type_name}': not found; is its package built?") from None
    for part, fields in _FIELDS.items():
        present = getattr(found, part).get_fields_and_field_types()
        for name, kind in fields.items():
            if present.get(name) != kind:
                raise ConfigError(f"goal_action_type '{type_name}': {part} needs a field '{name}' ({kind})")
    return found


class GoalActionServer:
    """Serves the action `name`: each goal becomes the keeper's goal, its end becomes the action's result.

    `read_goal` turns a PoseStamped into a position (3,) or raises InputError (the goal is then refused, with
    reason); `start_goal` starts it. Both are shared with goals by topic. `action` is (name, type); without a
    name nothing is served.
    """

    def __init__(
        self,
        node: Any,
        action: tuple[str, str],
        keeper: GoalKeeper,
        read_goal: Callable[[Any], np.ndarray],
        start_goal: Callable[..., Goal],
    ) -> None:
        self._keeper, self._read_goal, self._start_goal = keeper, read_goal, start_goal
        self._handle: Any = None
        self._goal: Goal | None = None
        name, self._class = action[0], action_class(action[1])
        self._server = None
        if name:
            self._server = ActionServer(
                node, self._class, name, self._execute, cancel_callback=lambda _handle: CancelResponse.ACCEPT
            )

    def destroy(self) -> None:
        """Withdraw the action."""
        if self._server is not None:
            self._server.destroy()

    def active(self) -> bool:
        """Whether the keeper's goal came through this action."""
        return self._goal is not None and self._goal is self._keeper.current

    def check_cancel(self, now_ns: int) -> GoalResult | None:
        """End the goal when its client asked for that; called from the control tick."""
        if self.active() and self._handle.is_cancel_requested:
            return self._keeper.end(GoalCode.CANCELED, "canceled by the client", now_ns)
        return None

    def feedback(self, now_ns: int) -> None:
        """Publish feedback of the current goal."""
        if self._goal is not None and self.active():
            self._handle.publish_feedback(
                self._class.Feedback(
                    distance=float(self._goal.distance),
                    plans_per_second=float(self._goal.plans_per_second(now_ns)),
                    time_s=float(self._goal.time_s(now_ns)),
                )
            )

    async def _execute(self, handle: Any) -> Any:
        """Wait, without blocking, for the keeper to end this goal."""
        request = handle.request
        ended: Future = Future()
        try:
            position = self._read_goal(request.goal)
            if not (0 <= request.tolerance < np.inf and 0 <= request.timeout_s < np.inf):
                raise InputError("tolerance and timeout_s must be finite and not negative")
        except InputError as error:
            handle.abort()
            return self._message(GoalResult(False, GoalCode.GOAL_REFUSED, str(error), 0.0, float("nan"), 0))
        # The former goal ends in here as PREEMPTED, so ours is noted afterwards.
        goal = self._start_goal(position, request.tolerance, request.timeout_s, ended.set_result)
        self._goal, self._handle = goal, handle
        result: GoalResult = await ended
        if result.success:
            handle.succeed()
        elif result.code is GoalCode.CANCELED:
            handle.canceled()
        else:
            handle.abort()
        return self._message(result)

    def _message(self, result: GoalResult) -> Any:
        return self._class.Result(
            success=result.success,
            error_code=int(result.code),
            reason=result.reason,
            time_s=float(result.time_s),
            final_distance=float(result.final_distance),
            plans=result.plans,
        )
