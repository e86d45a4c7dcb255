"""The planner node against a probe that plays driver."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from kdp_msgs.msg import Plan, RobotStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.exceptions import InvalidParameterValueException
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from visualization_msgs.msg import MarkerArray

from kdp_core import artifact
from kdp_core.exceptions import ArtifactError, InputError
from kdp_core.shipped import shipped_artifact
from kdp_planner_ros import control_loop
from kdp_planner_ros.goal import GoalCode
from kdp_planner_ros.markers import MarkerBuilder
from kdp_planner_ros.planner_node import load_controller


def velocity(command):
    return np.array([command.vel.x, command.vel.y, command.vel.z])


def test_a_state_is_answered_with_its_own_stamp(flight):
    flight.send_goal()
    stamp = flight.send_odom()
    assert [c.header.stamp.nanosec for c in flight.commands] == [stamp]
    assert velocity(flight.commands[0])[0] > 0.3
    assert flight.commands[0].header.frame_id == "world"


def test_timing_joins_on_the_stamp_and_is_ordered(flight):
    flight.send_goal()
    stamp = flight.send_odom()
    assert flight.spin(lambda: flight.timing)
    row = flight.timing[0]
    assert row.header.stamp.nanosec == stamp
    assert 0 < row.state_received_ns < row.plan_start_ns < row.plan_end_ns < row.command_published_ns


def test_a_slow_plan_is_a_missed_deadline(flight):
    flight.source.delay_s = 0.03
    flight.send_goal()
    flight.send_odom()
    assert flight.spin(lambda: flight.timing)
    assert flight.timing[0].deadline_missed


def test_nothing_goes_out_without_goal_or_obstacles(make_flight):
    flight = make_flight()
    flight.send_states(3)
    flight.send_goal()
    flight.send_states(3)
    assert flight.commands == []
    assert "poles" in flight.planner.loop.blocked
    flight.send_obstacles()
    flight.send_states(1)
    assert len(flight.commands) == 1


def test_nan_odometry_sends_no_command_and_diagnostics_name_the_field(make_flight):
    flight = make_flight()
    flight.send_obstacles()
    flight.send_goal()
    flight.send_odom()
    before = len(flight.commands)
    assert before == 1
    flight.diagnostics.clear()
    for _ in range(5):
        flight.send_odom((float("nan"), 0.0, 1.0))
    assert len(flight.commands) == before
    assert flight.spin(lambda: any("pose.pose.position" in s.message for s in flight.diagnostics))
    flight.send_odom()
    assert len(flight.commands) == before + 1


def test_a_state_in_a_foreign_frame_sends_no_command(flight):
    flight.send_goal()
    flight.send_odom(frame="map")
    assert flight.commands == []
    assert "map" in flight.planner.loop.blocked


def test_a_goal_in_a_foreign_frame_is_refused(flight):
    flight.send_goal(frame="map")
    flight.send_states(2)
    assert flight.planner.loop.goals.current is None
    assert flight.commands == []


def test_a_goal_from_beyond_the_horizon_is_refused(flight):
    flight.send_goal((1e20, 0.0, 1.0))
    assert flight.planner.loop.goals.current is None


def test_a_goal_ends_when_the_robot_stops_taking_commands(make_flight, monkeypatch):
    """A battery landing, say: the robot must not fly on to the old goal when it is armed again."""
    monkeypatch.setattr(control_loop, "STOPPED_S", 1.0)
    flight = make_flight()
    status = flight.probe.create_publisher(RobotStatus, "status", qos_profile_sensor_data)
    assert flight.spin(lambda: status.get_subscription_count() > 0)
    flight.send_obstacles()
    flight.send_goal()
    status.publish(RobotStatus(can_move=False))  # still taking off: the goal waits
    flight.wait(0.1)
    flight.send_odom()
    status.publish(RobotStatus(can_move=True))
    flight.wait(0.1)
    flight.send_odom()
    assert flight.planner.loop.goals.current is not None and len(flight.commands) == 2
    status.publish(RobotStatus(can_move=False, fault="overload"))  # for a moment: an arm that gives way
    flight.wait(0.1)
    status.publish(RobotStatus(can_move=True))
    flight.wait(1.2)
    assert flight.planner.loop.goals.current is not None
    status.publish(RobotStatus(can_move=False, fault="low_battery"))
    assert flight.spin(lambda: flight.planner.loop.goals.current is None)
    assert "low_battery" in flight.planner.loop.goals.last_result.reason
    status.publish(RobotStatus(can_move=True))
    flight.wait(0.1)
    flight.send_states(3)
    assert len(flight.commands) == 2  # neither the old goal nor holding


def test_z_zero_becomes_goal_z(make_flight):
    flight = make_flight(goal_z=0.7)
    flight.send_goal((5.0, 1.0, 0.0))
    np.testing.assert_allclose(flight.planner.loop.goals.current.position, [5.0, 1.0, 0.7])


def test_after_success_it_holds_with_zero_velocity_then_falls_silent(make_flight):
    flight = make_flight(hold_s=0.3)
    flight.send_obstacles()
    flight.send_goal()
    flight.send_states(2, position=(4.95, 0.0, 1.0))
    assert flight.planner.loop.goals.last_result.success
    assert len(flight.commands) == 2
    assert all(velocity(c).tolist() == [0.0, 0.0, 0.0] for c in flight.commands)
    flight.wait(0.4)
    flight.send_states(3)
    assert len(flight.commands) == 2


def test_lost_state_ends_the_goal(make_flight):
    flight = make_flight(state_timeout_s=0.2)
    flight.send_obstacles()
    flight.send_goal()
    flight.send_odom()
    assert flight.spin(lambda: flight.planner.loop.goals.last_result is not None)
    assert flight.planner.loop.goals.last_result.code is GoalCode.STATE_LOST
    flight.send_states(2)
    assert len(flight.commands) == 1


def test_a_goal_waits_for_the_very_first_state(make_flight, monkeypatch):
    """Two fresh processes may need seconds to meet; not for ever, though."""
    monkeypatch.setattr(control_loop, "FIRST_STATE_S", 1.0)
    flight = make_flight(state_timeout_s=0.1)
    flight.send_obstacles()
    flight.send_goal()
    flight.wait(0.5)
    assert flight.planner.loop.goals.current is not None
    assert flight.spin(lambda: flight.planner.loop.goals.last_result is not None)
    assert flight.planner.loop.goals.last_result.code is GoalCode.STATE_LOST
    assert "no state message yet" in flight.planner.loop.goals.last_result.reason


def test_an_input_that_falls_silent_ends_the_goal(make_flight):
    """Obstacles that are not latched must keep coming, as a camera's object poses must."""
    flight = make_flight(state_timeout_s=0.3, latched_topics=["map"])
    flight.send_goal()
    flight.send_obstacles()
    flight.send_odom()
    assert flight.commands
    while flight.planner.loop.goals.last_result is None and flight.stamp < 100:
        flight.send_odom()
    assert flight.planner.loop.goals.last_result.code is GoalCode.STATE_LOST
    assert "obstacles" in flight.planner.loop.goals.last_result.reason


def test_a_hold_that_the_inputs_do_not_tell_any_more_is_left_out(make_flight, monkeypatch):
    """As when an arm's cubes are not seen any more and the goal is cancelled."""

    def blind(_inputs):
        raise InputError("input 'cubes' must have at least 1 row, got 0")

    flight = make_flight(hold_s=5.0)
    flight.send_obstacles()
    flight.send_goal()
    flight.send_states(1)
    monkeypatch.setattr(flight.planner.loop.controller.task, "safe_action", blind)
    flight.planner.loop.goals.end(GoalCode.CANCELED, "canceled by the client", time.monotonic_ns())
    flight.planner.loop._hold_until_ns = time.monotonic_ns() + 5_000_000_000
    flight.send_states(2)
    assert len(flight.commands) == 1


@pytest.mark.parametrize("transition", [Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CREATE, 200])
def test_a_transition_that_the_state_does_not_have_is_refused_and_nothing_else(flight, transition):
    client = flight.probe.create_client(ChangeState, "planner/change_state")
    assert flight.spin(client.service_is_ready)
    future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
    assert flight.spin(future.done) and not future.result().success
    flight.send_goal()
    flight.send_states(1)
    assert len(flight.commands) == 1


def test_the_hold_is_the_safe_action_of_when_the_goal_ended(make_flight, monkeypatch):
    """It must not follow a state that creeps, as an arm's does under gravity."""
    flight = make_flight(hold_s=5.0)
    flight.send_obstacles()
    task = flight.planner.loop.controller.task
    monkeypatch.setattr(task, "safe_action", lambda inputs: 0.1 * inputs["position"])
    flight.send_goal((1.1, 0.0, 1.0))
    for x in (1.0, 1.05, 1.1):
        flight.send_odom((x, 0.0, 1.0))
    assert [velocity(c).round(6).tolist() for c in flight.commands] == [[0.1, 0.0, 0.1]] * 3


def test_a_chunk_is_executed_before_the_next_plan(make_flight):
    flight = make_flight(chunk=2)
    flight.send_obstacles()
    flight.send_goal()
    began = time.monotonic()
    flight.send_states(21)
    seconds = time.monotonic() - began
    plans = flight.planner.loop.goals.current.plans
    assert flight.spin(lambda: len(flight.timing) == plans)
    assert len(flight.commands) == 21
    assert 2 <= plans <= 1 + seconds / 0.19  # 2 rows of 0.1 s each, to the nearest cycle, then anew


def test_the_rate_is_capped(make_flight):
    flight = make_flight(rate_hz=0.02)
    flight.send_obstacles()
    flight.send_goal()
    flight.send_states(10)
    assert len(flight.commands) == 1


def test_deactivating_ends_the_goal_and_the_commands(flight):
    flight.send_goal()
    flight.send_odom()
    assert flight.planner.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert flight.planner.loop.goals.last_result.code is GoalCode.DEACTIVATED
    flight.send_goal()
    flight.send_states(2)
    assert len(flight.commands) == 1


def test_it_can_be_configured_again(flight):
    node = flight.planner
    node.trigger_deactivate()
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert node.set_parameters([Parameter("candidates", value=8)])[0].successful
    node.start()
    assert flight.spin(lambda: flight._odom.get_subscription_count() == 1, 5.0)
    flight.send_obstacles()
    flight.send_goal()
    flight.send_odom()
    assert len(flight.commands) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate_hz", 1000.0), ("goal_z", -1.0), ("state_timeout_s", 0.0), ("hold_s", "long"), ("candidates", 16)],
)
def test_wrong_parameters_are_refused_while_running(flight, name, value):
    before = flight.planner.get_parameter(name).value
    result = flight.planner.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert flight.planner.get_parameter(name).value == before


@pytest.mark.parametrize(
    ("name", "value"), [("candidates", 0), ("candidates", 257), ("threads", 0), ("seed", -1)]
)
def test_wrong_parameters_are_refused_at_start(make_flight, name, value):
    with pytest.raises(InvalidParameterValueException, match=name):
        make_flight(**{name: value})


def test_changed_parameters_take_effect(flight):
    assert flight.planner.set_parameters([Parameter("goal_z", value=0.4)])[0].successful
    flight.send_goal((5.0, 0.0, 0.0))
    assert flight.planner.loop.goals.current.position[2] == 0.4


def test_plan_and_candidates_have_the_shape_they_say(flight):
    plans, candidates = [], []
    flight.probe.create_subscription(Plan, "plan", plans.append, 1)
    flight.probe.create_subscription(Plan, "plan_candidates", candidates.append, 1)
    flight.wait(0.5)
    flight.send_goal()
    flight.send_states(3)
    assert flight.spin(lambda: plans and candidates)
    spec = flight.source.spec
    assert list(plans[0].shape) == [1, spec.horizon, spec.d_window]
    assert list(candidates[0].shape) == [64, spec.horizon, spec.d_window]
    for msg in (plans[0], candidates[0]):
        windows = np.array(msg.windows).reshape(msg.shape)
        paths = np.array(msg.paths).reshape(msg.shape[0], spec.horizon, 3)
        np.testing.assert_allclose(paths, windows[..., :3] + [1.0, 0.0, 1.0], atol=1e-5)
        assert msg.spec_name == spec.name and msg.candidates == 64 and len(msg.scores) == 64
    chosen = np.array(candidates[0].windows).reshape(candidates[0].shape)[candidates[0].index]
    assert candidates[0].scores[candidates[0].index] == max(candidates[0].scores)
    assert chosen.shape == (spec.horizon, spec.d_window)


def test_markers_only_when_somebody_looks_and_at_their_rate(make_flight, monkeypatch):
    built, build = [], MarkerBuilder.build
    monkeypatch.setattr(MarkerBuilder, "build", lambda *a, **k: built.append(1) or build(*a, **k))
    flight = make_flight(marker_rate_hz=0.1, candidates=4)
    flight.send_obstacles()
    flight.send_goal()
    flight.send_states(3)
    assert built == []
    markers = []
    flight.probe.create_subscription(MarkerArray, "plan_markers", markers.append, 1)
    flight.wait(0.5)
    flight.send_states(10)
    assert len(flight.commands) == 13
    assert len(markers) == len(built) == 1
    assert {m.ns for m in markers[0].markers} == {"candidates", "chosen", "goal", "safe_action", "poles"}


def test_a_blocked_way_is_answered_with_the_safe_action(make_flight):
    flight = make_flight()
    flight.send_obstacles([(1.0, 0.0, 0.15)])  # the drone is inside the pole: no candidate is valid
    flight.send_goal()
    flight.send_odom()
    assert velocity(flight.commands[0]).tolist() == [0.0, 0.0, 0.0]
    assert flight.spin(lambda: flight.timing)
    assert flight.timing[0].safe_action


def test_a_planner_whose_training_diverged_is_refused(monkeypatch):
    """Tables export such planners; here the shipped one counts as diverged, for its windows have a spread."""
    settings = SimpleNamespace(
        artifact=str(shipped_artifact("crazyflie")),
        candidates=4,
        seed=0,
        execute="action",
        threads=1,
        chunk=0,
    )
    assert load_controller(settings).spec.name == "crazyflie-poles"
    monkeypatch.setattr(artifact, "DIVERGED", 0.01)
    with pytest.raises(ArtifactError, match="has diverged, and no robot"):
        load_controller(settings)
