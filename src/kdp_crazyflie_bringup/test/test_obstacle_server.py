"""The obstacle server: what it publishes, and that it refuses a world it cannot make."""

import os
from itertools import pairwise

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.context import Context
from rclpy.parameter import Parameter

from kdp_core.exceptions import ConfigError
from kdp_core.sim.arena import Arena
from kdp_crazyflie_bringup.obstacle_server import ObstacleServer, load_world


@pytest.fixture
def server():
    context = Context()
    rclpy.init(args=[], context=context, domain_id=60 + os.getpid() % 40)
    node = ObstacleServer(context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_parameters_change_the_world_and_impossible_ones_are_refused(server, tmp_path):
    published = []
    server._publisher.publish = published.append
    assert all(result.successful for result in server.set_parameters([Parameter("seed", value=7)]))
    assert [c.center.x for c in published[-1].cylinders] == Arena.random(7, 16).poles[:, 0].tolist()
    server.set_parameters([Parameter("poles", value=3)])
    assert len(published[-1].cylinders) == 3 and published[-1].header.frame_id == "world"
    (result,) = server.set_parameters([Parameter("poles", value=99)])
    assert not result.successful
    (result,) = server.set_parameters([Parameter("world_file", value=str(tmp_path / "none.yaml"))])
    assert not result.successful and "none.yaml" in result.reason
    assert len(published) == 2 and all(a is not b for a, b in pairwise(published))


def test_parameters_are_described(server):
    for name in ("seed", "poles", "world_file"):
        assert server.describe_parameter(name).description
    assert server.describe_parameter("seed").type == ParameterType.PARAMETER_INTEGER


def test_a_file_wins_and_a_bad_file_is_one_line(tmp_path):
    path = tmp_path / "world.yaml"
    Arena.random(5, 2).save(path)
    assert len(load_world(0, 16, str(path)).poles) == 2
    path.write_text("poles: 3")
    with pytest.raises(ConfigError) as caught:
        load_world(0, 16, str(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
