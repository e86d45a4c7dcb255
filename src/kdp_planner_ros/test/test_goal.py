"""The life of a goal."""

import numpy as np

from kdp_planner_ros.goal import Goal, GoalCode, GoalKeeper

S = 1_000_000_000


def make(results, tolerance=0.0, timeout_s=5.0, started_ns=10 * S):
    return Goal(np.zeros(3), tolerance, timeout_s, started_ns, results.append)


def test_success_by_the_tasks_rule_and_by_tolerance():
    results, keeper = [], GoalKeeper()
    keeper.start(make(results))
    assert keeper.reached(0.5, False, 11 * S) is None
    assert keeper.reached(0.1, True, 12 * S).success
    keeper.start(make(results, tolerance=0.3))
    assert keeper.reached(0.4, True, 12 * S) is None
    assert keeper.reached(0.3, False, 13 * S).success
    assert [r.time_s for r in results] == [2.0, 3.0]
    assert keeper.current is None


def test_success_must_last_where_asked():
    results, keeper = [], GoalKeeper()
    goal = make(results)
    goal.hold_s = 0.5
    keeper.start(goal)
    assert keeper.reached(0.1, True, 11 * S) is None
    assert keeper.reached(0.1, True, 11 * S + S // 4) is None
    assert keeper.reached(0.3, False, 11 * S + S // 3) is None  # slipped away: from the start
    assert keeper.reached(0.1, True, 12 * S) is None
    assert keeper.reached(0.1, True, 12 * S + S // 4) is None
    assert keeper.reached(0.1, True, 12 * S + S // 2).success


def test_timeout_after_its_time_only():
    results, keeper = [], GoalKeeper()
    keeper.start(make(results))
    assert keeper.check_timeout(15 * S) is None
    assert keeper.check_timeout(15 * S + 1).code is GoalCode.TIMEOUT
    assert results[-1].reason == "not reached within 5 s"
    keeper.start(make(results, timeout_s=0.0))
    assert keeper.check_timeout(10_000 * S) is None


def test_a_timeout_says_how_often_there_was_no_plan():
    results, keeper = [], GoalKeeper()
    goal = make(results)
    goal.plans, goal.without_plan = 200, 50
    keeper.start(goal)
    assert (
        keeper.check_timeout(16 * S).reason == "not reached within 5 s; no valid plan in 25 % of the cycles"
    )


def test_a_new_goal_preempts_and_each_ends_once():
    first, second, keeper = [], [], GoalKeeper()
    keeper.start(make(first))
    keeper.start(make(second))
    assert [r.code for r in first] == [GoalCode.PREEMPTED]
    assert keeper.end(GoalCode.CANCELED, "why", 11 * S).reason == "why"
    assert keeper.end(GoalCode.CANCELED, "why", 11 * S) is None
    assert len(first) == len(second) == 1
