"""The FlyTo action over the planner's goal; it ends from the control tick and never blocks the executor."""

from collections.abc import Callable
from typing import Any

import numpy as np
from kdp_msgs.action import FlyTo
from rclpy.action import ActionServer, CancelResponse
from rclpy.task import Future

from kdp_core.exceptions import InputError
from kdp_planner_ros.goal import Goal, GoalCode, GoalKeeper, GoalResult


class FlyToServer:
    """Serves ``fly_to``: each goal becomes the keeper's goal, and its end becomes the action's result.

    `read_goal` turns a PoseStamped into a position (3,) or raises InputError (the goal is then refused, with
    reason); `start_goal` starts it. Both are shared with goals by topic.
    """

    def __init__(
        self,
        node: Any,
        keeper: GoalKeeper,
        read_goal: Callable[[Any], np.ndarray],
        start_goal: Callable[..., Goal],
    ) -> None:
        self._keeper, self._read_goal, self._start_goal = keeper, read_goal, start_goal
        self._handle: Any = None
        self._goal: Goal | None = None
        self._server = ActionServer(
            node, FlyTo, "fly_to", self._execute, cancel_callback=lambda _handle: CancelResponse.ACCEPT
        )

    def destroy(self) -> None:
        """Withdraw the action."""
        self._server.destroy()

    def flying(self) -> bool:
        """Whether the keeper's goal came through this action."""
        return self._goal is not None and self._goal is self._keeper.current

    def check_cancel(self, now_ns: int) -> GoalResult | None:
        """End the goal when its client asked for that; called from the control tick."""
        if self.flying() and self._handle.is_cancel_requested:
            return self._keeper.end(GoalCode.CANCELED, "canceled by the client", now_ns)
        return None

    def feedback(self, now_ns: int) -> None:
        """Publish feedback of the current goal."""
        if self._goal is not None and self.flying():
            self._handle.publish_feedback(
                FlyTo.Feedback(
                    distance=float(self._goal.distance),
                    plans_per_second=float(self._goal.plans_per_second(now_ns)),
                    time_s=float(self._goal.time_s(now_ns)),
                )
            )

    async def _execute(self, handle: Any) -> FlyTo.Result:
        """Wait, without blocking, for the keeper to end this goal."""
        request = handle.request
        ended: Future = Future()
        try:
            position = self._read_goal(request.goal)
            if not (0 <= request.tolerance < np.inf and 0 <= request.timeout_s < np.inf):
                raise InputError("tolerance and timeout_s must be finite and not negative")
        except InputError as error:
            handle.abort()
            return _message(GoalResult(False, GoalCode.GOAL_REFUSED, str(error), 0.0, float("nan"), 0))
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
        return _message(result)


def _message(result: GoalResult) -> FlyTo.Result:
    return FlyTo.Result(
        success=result.success,
        error_code=int(result.code),
        reason=result.reason,
        time_s=float(result.time_s),
        final_distance=float(result.final_distance),
        plans=result.plans,
    )
