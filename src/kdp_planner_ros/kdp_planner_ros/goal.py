"""One goal at a time, from acceptance to the result that says success, time and why not. No ROS in here."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class GoalCode(IntEnum):
    """Why a goal ended. Values as in kdp_msgs/action/FlyTo and PickPlace (a test compares them)."""

    NONE = 0
    TIMEOUT = 1
    PREEMPTED = 2
    CANCELED = 3
    STATE_LOST = 4
    GOAL_REFUSED = 5
    DEACTIVATED = 6


@dataclass(frozen=True)
class GoalResult:
    """How a goal ended: `time_s` since acceptance, `final_distance` in metres (NaN if never measured)."""

    success: bool
    code: GoalCode
    reason: str
    time_s: float
    final_distance: float
    plans: int


@dataclass
class Goal:
    """A goal in the world frame; `tolerance` 0 = the task's own success rule, `timeout_s` 0 = none.

    `hold_s`: so long it must stay reached. `without_plan`: how many of the `plans` found no valid window.
    """

    position: np.ndarray
    tolerance: float
    timeout_s: float
    started_ns: int
    on_end: Callable[[GoalResult], None] | None = None
    hold_s: float = 0.0
    within_ns: int = 0
    distance: float = float("nan")
    plans: int = 0
    without_plan: int = 0

    def time_s(self, now_ns: int) -> float:
        """Seconds since acceptance."""
        return (now_ns - self.started_ns) * 1e-9

    def plans_per_second(self, now_ns: int) -> float:
        """Mean rate since acceptance, Hz."""
        return self.plans / max(self.time_s(now_ns), 1e-9)


class GoalKeeper:
    """Holds the goal that is being pursued; a new one preempts it."""

    def __init__(self) -> None:
        self.current: Goal | None = None
        self.last_result: GoalResult | None = None

    def start(self, goal: Goal) -> None:
        """Take a new goal; the former one ends as PREEMPTED."""
        self.end(GoalCode.PREEMPTED, "a newer goal took over", goal.started_ns)
        self.current = goal

    def end(self, code: GoalCode, reason: str, now_ns: int) -> GoalResult | None:
        """End the current goal without success; returns None when there was none."""
        return self._finish(False, code, reason, now_ns)

    def reached(self, distance: float, task_success: bool, now_ns: int) -> GoalResult | None:
        """Record the distance (m) of one cycle; ends the goal once it has stayed within tolerance."""
        goal = self.current
        if goal is None:
            return None
        goal.distance = distance
        within = distance <= goal.tolerance if goal.tolerance > 0 else task_success
        if not within:
            goal.within_ns = 0
            return None
        goal.within_ns = goal.within_ns or now_ns
        if now_ns - goal.within_ns < goal.hold_s * 1e9:
            return None
        return self._finish(True, GoalCode.NONE, f"within {distance:.3f} m", now_ns)

    def check_timeout(self, now_ns: int) -> GoalResult | None:
        """End the goal as TIMEOUT when its time is up."""
        goal = self.current
        if goal is None or goal.timeout_s <= 0 or goal.time_s(now_ns) <= goal.timeout_s:
            return None
        reason = f"not reached within {goal.timeout_s:g} s"
        if goal.without_plan:
            share = goal.without_plan / max(goal.plans, 1)
            reason += f"; no valid plan in {100 * share:.0f} % of the cycles"
        return self.end(GoalCode.TIMEOUT, reason, now_ns)

    def _finish(self, success: bool, code: GoalCode, reason: str, now_ns: int) -> GoalResult | None:
        goal, self.current = self.current, None
        if goal is None:
            return None
        result = GoalResult(success, code, reason, goal.time_s(now_ns), goal.distance, goal.plans)
        self.last_result = result
        if goal.on_end is not None:
            goal.on_end(result)
        return result
