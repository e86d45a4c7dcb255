"""Field paths against real messages."""

import numpy as np
import pytest
from geometry_msgs.msg import Point
from kdp_msgs.msg import Cylinder, Obstacles, Plan, VelocityWorld
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from kdp_core.exceptions import InputError, SpecError
from kdp_planner_ros.field_map import FieldReader, FieldWriter, float_array, message_class


def test_stacked_fields_keep_the_order_of_the_path():
    msg = Odometry()
    msg.pose.pose.position.x, msg.pose.pose.position.y, msg.pose.pose.position.z = 1.0, 2.0, 3.0
    reader = FieldReader("nav_msgs/msg/Odometry", "pose.pose.position.[z,x,y]")
    np.testing.assert_array_equal(reader.read(msg), [3.0, 1.0, 2.0])
    assert reader.width == 3 and not reader.is_list


def test_list_of_messages_with_nested_fields():
    reader = FieldReader("kdp_msgs/msg/Obstacles", "cylinders[].[center.x,center.y,radius]")
    msg = Obstacles(cylinders=[Cylinder(center=Point(x=float(i), y=-1.0), radius=0.5) for i in range(3)])
    np.testing.assert_array_equal(reader.read(msg), [[0, -1, 0.5], [1, -1, 0.5], [2, -1, 0.5]])
    assert reader.read(Obstacles()).shape == (0, 3)
    assert reader.is_list


def test_element_by_name_follows_the_message_when_its_order_changes():
    reader = FieldReader("sensor_msgs/msg/JointState", "[position[b],position[a]]")
    assert reader.read(JointState(name=["a", "b"], position=[1.0, 2.0])).tolist() == [2.0, 1.0]
    assert reader.read(JointState(name=["b", "x", "a"], position=[5.0, 6.0, 7.0])).tolist() == [5.0, 7.0]
    with pytest.raises(InputError, match="'a'"):
        reader.read(JointState(name=["b"], position=[5.0]))
    with pytest.raises(InputError, match="fewer values"):
        reader.read(JointState(name=["b", "a"], position=[5.0]))


def test_several_elements_by_name_in_the_order_of_the_path():
    reader = FieldReader("sensor_msgs/msg/JointState", "position[b,a]")
    assert reader.width == 2
    assert reader.read(JointState(name=["a", "b"], position=[1.0, 2.0])).tolist() == [2.0, 1.0]
    assert reader.read(JointState(name=["x", "b", "a"], position=[5.0, 6.0, 7.0])).tolist() == [6.0, 7.0]
    one = FieldReader("sensor_msgs/msg/JointState", "position[b]")
    assert one.read(JointState(name=["a", "b"], position=[1.0, 2.0])).tolist() == [2.0]
    with pytest.raises(InputError, match="'a'"):
        reader.read(JointState(name=["b"], position=[5.0]))
    with pytest.raises(SpecError, match="cannot read"):
        FieldReader("sensor_msgs/msg/JointState", "position[b,]")


def test_whole_arrays_and_single_numbers():
    assert FieldReader("nav_msgs/msg/Odometry", "pose.covariance").width == 36
    msg = JointState(position=[1.0, 2.0])
    assert FieldReader("sensor_msgs/msg/JointState", "position").read(msg).tolist() == [1.0, 2.0]
    assert FieldReader("kdp_msgs/msg/VelocityWorld", "yaw_rate").read(
        VelocityWorld(yaw_rate=0.5)
    ).tolist() == [0.5]


@pytest.mark.parametrize(
    ("type_name", "path", "message"),
    [
        ("nav_msgs/msg/Odometry", "pose.position.x", "no field 'position' in PoseWithCovariance"),
        ("nav_msgs/msg/Odometry", "pose.pose.position.[x,w]", "no field 'w' in Point; it has x, y, z"),
        ("nav_msgs/msg/Odometry", "pose.pose", "expected a number"),
        ("nav_msgs/msg/Odometry", "child_frame_id", "expected a number"),
        ("nav_msgs/msg/Odometry", "pose..x", "cannot read ''"),
        ("nav_msgs/msg/Odometry", "pose.pose.position.x.y", "has no fields"),
        ("nav_msgs/msg/Odometry", "pose[].x", "not a list"),
        ("kdp_msgs/msg/Obstacles", "cylinders[].colour", "no field 'colour' in Cylinder"),
        ("kdp_msgs/msg/Obstacles", "cylinders[a]", "expected numbers"),
        ("kdp_msgs/msg/Plan", "scores[a]", "no field 'name' in Plan"),
        ("kdp_msgs/msg/Plan", "[scores,index]", "single numbers"),
        ("nav_msgs/msg/Odometri", "x", "not found"),
        ("nav_msgs/srv/Odometry", "x", "expected 'package/msg/Type'"),
    ],
)
def test_wrong_paths_are_one_clear_line(type_name, path, message):
    with pytest.raises(SpecError) as error:
        FieldReader(type_name, path)
    assert message in str(error.value) and "\n" not in str(error.value) and type_name in str(error.value)


def test_write_is_the_inverse_of_read():
    path = "vel.[x,y,z]"
    msg = VelocityWorld()
    FieldWriter("kdp_msgs/msg/VelocityWorld", path).write(msg, np.array([0.1, -0.2, 0.3]))
    np.testing.assert_array_equal(FieldReader("kdp_msgs/msg/VelocityWorld", path).read(msg), [0.1, -0.2, 0.3])
    assert msg.yaw_rate == 0.0


def test_write_whole_array_and_single_number():
    msg = Plan()
    FieldWriter("kdp_msgs/msg/Plan", "scores").write(msg, np.array([1.0, 2.0]))
    FieldWriter("kdp_msgs/msg/Plan", "step_s").write(msg, np.array([0.5]))
    assert list(msg.scores) == [1.0, 2.0] and msg.step_s == 0.5


def test_write_refuses_wrong_length_and_lists_of_messages():
    with pytest.raises(SpecError, match="got 2 values for 3"):
        FieldWriter("kdp_msgs/msg/VelocityWorld", "vel.[x,y,z]").write(VelocityWorld(), np.zeros(2))
    with pytest.raises(SpecError, match="cannot be written"):
        FieldWriter("kdp_msgs/msg/Obstacles", "cylinders[].radius")


def test_message_class_takes_both_spellings():
    assert message_class("nav_msgs/msg/Odometry") is message_class("nav_msgs/Odometry") is Odometry


def test_float_array_is_row_major_float32():
    values = np.arange(24, dtype=np.float64).reshape(2, 3, 4).transpose(0, 2, 1)
    msg = Plan(windows=float_array(values))
    np.testing.assert_array_equal(np.array(msg.windows).reshape(2, 4, 3), values)
