"""From messages to inputs and from actions to commands, by the flight task's spec."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry

from kdp_core.exceptions import InputError, SpecError
from kdp_core.tasks.flight import flight_spec
from kdp_planner_ros.inputs import CommandWriter, goal_topic, topics_of

SPEC = flight_spec()


def changed(channels, name, **ros):
    """Channels with one ROS field changed; `ros=None` takes it away."""
    return [
        c
        if c.name != name
        else c.model_copy(update={"ros": c.ros.model_copy(update=ros) if ros.get("topic") != "" else None})
        for c in channels
    ]


def odometry(x=1.0, frame="world"):
    msg = Odometry()
    msg.header.frame_id = frame
    msg.pose.pose.position.x = x
    msg.twist.twist.linear.y = 0.5
    return msg


def test_one_subscription_per_topic_state_first():
    topics = topics_of(SPEC.inputs)
    assert [t.topic for t in topics] == ["odom", "obstacles", "goal_pose"]
    assert list(topics[0].readers) == ["position", "orientation", "velocity_body"]
    assert goal_topic(topics, SPEC.name).topic == "goal_pose"


def test_values_are_checked():
    odom = topics_of(SPEC.inputs)[0]
    values = odom.read(odometry(), "world")
    np.testing.assert_array_equal(values["position"], [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(values["velocity_body"], [0.0, 0.5, 0.0])
    with pytest.raises(
        InputError, match=r"odom: field 'pose.pose.position.\[x,y,z\]' \(position\) is not finite"
    ):
        odom.read(odometry(np.inf), "world")
    with pytest.raises(InputError, match="frame 'map', expected 'world'"):
        odom.read(odometry(frame="map"), "world")


@pytest.mark.parametrize(
    ("name", "ros", "message"),
    [
        ("position", {"topic": ""}, "no ROS topic"),
        ("position", {"field": "pose.pose.position.[x,y]"}, "size 3, but .* has 2"),
        ("poles", {"field": "cylinders[].radius"}, "size 3, but .* has 1"),
        ("poles", {"field": "header.stamp.[sec,sec,sec]"}, "rows is True"),
        (
            "orientation",
            {"type": "geometry_msgs/msg/PoseStamped", "field": "pose.orientation.[x,y,z,w]"},
            "two message",
        ),
    ],
)
def test_specs_that_do_not_fit_their_messages(name, ros, message):
    with pytest.raises(SpecError, match=message):
        topics_of(changed(SPEC.inputs, name, **ros))


def test_a_spec_without_goal_is_refused():
    with pytest.raises(SpecError, match="goal"):
        goal_topic(topics_of(SPEC.inputs[:-1]), SPEC.name)


def test_command_carries_action_stamp_and_frame():
    writer = CommandWriter(SPEC.action)
    msg = writer.message(np.array([0.1, 0.2, -0.3]), Time(sec=4, nanosec=5), "world")
    assert (writer.topic, writer.size) == ("cmd_velocity_world", 3)
    assert (msg.header.stamp.sec, msg.header.stamp.nanosec, msg.header.frame_id) == (4, 5, "world")
    assert (msg.vel.x, msg.vel.y, msg.vel.z) == (0.1, 0.2, -0.3)
    with pytest.raises(InputError, match="not finite"):
        writer.message(np.array([0.1, np.nan, 0.0]), Time(), "world")


def test_action_that_does_not_fit_its_message():
    with pytest.raises(SpecError, match=r"size 3, 'vel.\[x,y\]' has 2"):
        CommandWriter(changed(SPEC.action, "velocity_command", field="vel.[x,y]"))
