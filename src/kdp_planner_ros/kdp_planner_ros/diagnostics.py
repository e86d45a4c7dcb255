"""DiagnosticStatus of the nodes of this package."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue


def status(name: str, level: bytes, message: str, values: dict[str, object]) -> DiagnosticStatus:
    """A status with `values` as text."""
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(name=name, level=level, message=message, hardware_id="", values=pairs)


def planner_status(name: str, loop: Any, fault: str, state_timeout_s: float, now_ns: int) -> DiagnosticStatus:
    """State of the planner: ERROR if it should command and cannot, WARN if something is amiss, else OK."""
    if loop is None:
        return status(name, DiagnosticStatus.WARN, fault, {})
    figures = loop.statistics.figures(now_ns)
    age_s = (now_ns - loop.state_ns) * 1e-9 if loop.state_ns else float("nan")
    goal, last = loop.goals.current, loop.goals.last_result
    if loop.blocked:
        level, message = (
            DiagnosticStatus.ERROR if goal else DiagnosticStatus.WARN,
            f"no command: {loop.blocked}",
        )
    elif age_s > state_timeout_s:
        level, message = (
            DiagnosticStatus.ERROR if goal else DiagnosticStatus.WARN,
            f"state is {age_s:.2f} s old",
        )
    elif not loop.active:
        level, message = DiagnosticStatus.OK, "inactive"
    elif goal is None:
        level, message = DiagnosticStatus.OK, "no goal"
    elif figures.deadlines_missed > 0.05 * figures.cycles:
        level, message = (
            DiagnosticStatus.WARN,
            f"missed {figures.deadlines_missed} of {figures.cycles} deadlines",
        )
    else:
        level, message = DiagnosticStatus.OK, "on the way to the goal"
    return status(
        name,
        level,
        message,
        {
            "plans_per_second": f"{figures.plans_per_second:.1f}",
            "planner_p50_ms": f"{figures.planner_p50_ms:.2f}",
            "planner_p99_ms": f"{figures.planner_p99_ms:.2f}",
            "deadlines_missed": loop.statistics.deadlines_missed_total,
            "cycles": loop.statistics.cycles_total,
            "safe_action_share": f"{figures.safe_share:.3f}",
            "state_age_s": f"{age_s:.3f}",
            "goal": "" if goal is None else " ".join(f"{x:.2f}" for x in goal.position),
            "distance_m": "" if goal is None else f"{goal.distance:.2f}",
            "last_goal": ""
            if last is None
            else f"{'reached' if last.success else last.code.name}: {last.reason}",
        },
    )
