"""The goal action: every way in which it can end."""

import pytest
from action_msgs.msg import GoalStatus
from kdp_msgs.action import FlyTo, PickPlace
from rclpy.action import ActionClient
from rclpy.parameter import Parameter

from kdp_core.exceptions import ConfigError
from kdp_planner_ros.goal import GoalCode
from kdp_planner_ros.goal_action import action_class


class Client:
    """Sends goals and runs the flight until they end."""

    def __init__(self, flight):
        self.flight = flight
        self.client = ActionClient(flight.probe, FlyTo, "fly_to")
        self.feedback = []
        assert flight.spin(self.client.server_is_ready, 10.0)

    def send(self, position=(5.0, 0.0, 1.0), frame="world", **options):
        goal = FlyTo.Goal(goal=self.flight.goal_message(position, frame), **options)
        future = self.client.send_goal_async(goal, lambda msg: self.feedback.append(msg.feedback))
        assert self.flight.spin(future.done)
        handle = future.result()
        assert handle.accepted
        return handle, handle.get_result_async()

    def result(self, future, seconds=10.0):
        assert self.flight.spin(future.done, seconds)
        return future.result().status, future.result().result


@pytest.fixture
def client(flight):
    client = Client(flight)
    yield client
    client.client.destroy()


@pytest.mark.parametrize("action", [FlyTo, PickPlace])
def test_codes_are_those_of_the_action(action):
    assert {code.name: int(code) for code in GoalCode} == {
        name: getattr(action.Result, name) for name in GoalCode.__members__
    }


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("FlyTo", "expected"), ("kdp_msgs/action/Nothing", "not found"), ("no_such/action/FlyTo", "not found")],
)
def test_unknown_actions_are_one_line(name, wrong):
    with pytest.raises(ConfigError, match=wrong):
        action_class(name)


def test_an_action_with_other_fields_is_refused(monkeypatch):
    """Another package's action, such as the example of the ROS tutorials."""
    import kdp_msgs.action

    class Fibonacci:
        class Goal:
            @staticmethod
            def get_fields_and_field_types():
                return {"order": "int32"}

    monkeypatch.setattr(kdp_msgs.action, "Fibonacci", Fibonacci, raising=False)
    with pytest.raises(ConfigError, match="Goal needs a field 'goal'"):
        action_class("kdp_msgs/action/Fibonacci")


def test_pick_place_is_served_where_the_parameters_say(make_flight):
    flight = make_flight(goal_action="pick_place", goal_action_type="kdp_msgs/action/PickPlace")
    flight.send_obstacles()
    client = ActionClient(flight.probe, PickPlace, "pick_place")
    assert flight.spin(client.server_is_ready, 10.0)
    future = client.send_goal_async(PickPlace.Goal(goal=flight.goal_message((1.1, 0.0, 1.0))))
    assert flight.spin(future.done) and future.result().accepted
    result = future.result().get_result_async()
    flight.send_odom((1.0, 0.0, 1.0))
    assert flight.spin(result.done) and result.result().result.success
    client.destroy()


def test_success(client, flight):
    _, future = client.send()
    flight.send_states(12)
    assert not future.done()
    flight.send_odom((4.9, 0.0, 1.0))
    status, result = client.result(future)
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert result.success and result.error_code == FlyTo.Result.NONE
    assert result.final_distance == pytest.approx(0.1, abs=1e-3)
    assert result.plans == 12 and result.time_s > 0.3
    assert client.feedback[-1].distance == pytest.approx(4.0, abs=1e-3)
    assert client.feedback[-1].plans_per_second > 0.0


def test_tolerance_of_the_request_counts(client, flight):
    _, future = client.send(tolerance=1.5)
    flight.send_odom((3.6, 0.0, 1.0))
    assert client.result(future)[1].success


def test_timeout(client, flight):
    _, future = client.send(timeout_s=0.3)
    while not future.done() and flight.stamp < 100:
        flight.send_odom()
    status, result = client.result(future)
    assert status == GoalStatus.STATUS_ABORTED
    assert not result.success and result.error_code == FlyTo.Result.TIMEOUT
    assert "0.3 s" in result.reason


def test_cancel(client, flight):
    handle, future = client.send()
    flight.send_states(2)
    canceling = handle.cancel_goal_async()
    assert flight.spin(canceling.done)
    status, result = client.result(future)
    assert status == GoalStatus.STATUS_CANCELED
    assert result.error_code == FlyTo.Result.CANCELED
    flight.commands.clear()
    flight.send_odom()
    assert [(c.vel.x, c.vel.y, c.vel.z) for c in flight.commands] == [(0.0, 0.0, 0.0)]


def test_a_newer_goal_preempts(client, flight):
    _, first = client.send()
    _, second = client.send((5.0, 1.0, 1.0))
    status, result = client.result(first)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, FlyTo.Result.PREEMPTED)
    flight.send_goal()
    assert client.result(second)[1].error_code == FlyTo.Result.PREEMPTED
    assert flight.planner.loop.goals.current is not None


def test_lost_state(client, flight):
    assert flight.planner.set_parameters([Parameter("state_timeout_s", value=0.3)])[0].successful
    _, future = client.send()
    flight.send_odom()
    assert client.result(future)[1].error_code == FlyTo.Result.STATE_LOST


def test_refused(client):
    _, future = client.send(frame="map")
    status, result = client.result(future)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, FlyTo.Result.GOAL_REFUSED)
    assert "'map'" in result.reason and "'world'" in result.reason


@pytest.mark.parametrize("options", [{"tolerance": float("nan")}, {"timeout_s": -1.0}])
def test_wrong_options_are_refused(client, options):
    _, future = client.send(**options)
    assert client.result(future)[1].error_code == FlyTo.Result.GOAL_REFUSED


def test_deactivated(client, flight):
    _, future = client.send()
    flight.send_odom()
    flight.planner.trigger_deactivate()
    assert client.result(future)[1].error_code == FlyTo.Result.DEACTIVATED
    _, future = client.send()
    assert client.result(future)[1].error_code == FlyTo.Result.GOAL_REFUSED
