# SPDX-License-Identifier: GPL-3.0-or-later
"""One list of nodes, two ways to start it, the same command lines."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kdp_core.exceptions import ConfigError
from kdp_crazyflie_bringup.fly import LAUNCH_ARGUMENTS, parser
from kdp_crazyflie_bringup.graph import fly_nodes
from kdp_planner_ros.node_spec import NodeSpec, command, ros_arguments, yaml_scalar

PACKAGE = Path(__file__).resolve().parents[1]
HAS_LAUNCH = (
    importlib.util.find_spec("launch") is not None and importlib.util.find_spec("launch_ros") is not None
)
ARTIFACT = "/somewhere/artifact"
RADIO = "radio://0/80/2M/E7E7E7E7E7"


def share(package: str) -> str:
    return f"/share/{package}"


def by_name(**options: object) -> dict[str, NodeSpec]:
    return {node.name: node for node in fly_nodes(share=share, **{"artifact": ARTIFACT, **options})}


def test_simulated_and_real_differ_only_where_they_must():
    sim, real = by_name(backend="sim"), by_name(backend="real", uri=RADIO)
    assert set(sim) - set(real) == {"crazyflie_sim"}
    assert real["crazyflie_driver"].parameters["uri"] == RADIO
    assert sim["crazyflie_driver"].parameters["uri"] == "udp://127.0.0.1:19850"
    assert real["latency_monitor"].parameters["side_channel"] == ""
    for name in ("planner", "obstacle_server"):
        assert sim[name] == real[name]


def test_planner_and_driver_know_nothing_of_the_side_channel():
    nodes = by_name(control_port=23456)
    for name in ("planner", "crazyflie_driver", "obstacle_server"):
        assert "23456" not in " ".join(ros_arguments(nodes[name]))
    assert "23456" in " ".join(nodes["crazyflie_sim"].arguments)


def test_driver_outlives_the_planner():
    """The graph ends with driver or simulator; a dead planner must leave the driver alive to land."""
    vital = {node.name for node in by_name().values() if node.vital}
    assert vital == {"crazyflie_sim", "crazyflie_driver"}


def test_same_world_for_simulator_and_obstacle_server():
    nodes = by_name(world_seed=7, poles=12)
    arguments = nodes["crazyflie_sim"].arguments
    assert arguments[arguments.index("--seed") + 1] == "7"
    assert arguments[arguments.index("--poles") + 1] == "12"
    assert nodes["obstacle_server"].parameters == {"seed": 7, "poles": 12}


def test_all_nodes_in_the_namespace_of_the_robot():
    nodes = by_name(name="cf7", rviz=True)
    assert {node.namespace for node in nodes.values() if node.ros and node.name != "rviz"} == {"/cf7"}
    assert ("/cf1/goal_pose", "/cf7/goal_pose") in nodes["rviz"].remappings
    assert by_name(rviz=True)["rviz"].remappings == ()


@pytest.mark.parametrize(
    ("options", "named"), [({"backend": "gazebo"}, "gazebo"), ({"backend": "real"}, "uri")]
)
def test_impossible_graphs(options, named):
    with pytest.raises(ConfigError, match=named):
        fly_nodes(share=share, artifact=ARTIFACT, **options)


@pytest.mark.parametrize(
    "value", ["", "19", "true", "udp://127.0.0.1:19850", "a b", "x" * 300, 3, 2.5, True, [1, 2]]
)
def test_parameters_keep_their_type(value):
    """ROS reads `-p name:=value` as YAML."""
    text = yaml_scalar(value)
    assert "\n" not in text
    assert yaml.safe_load(text) == value and type(yaml.safe_load(text)) is type(value)


def test_script_and_launch_file_take_the_same_arguments():
    options = vars(parser().parse_args([]))
    assert {k: options[k] for k in LAUNCH_ARGUMENTS} == {
        k: default for k, (default, _) in LAUNCH_ARGUMENTS.items()
    }
    assert (
        len(fly_nodes(share=share, **{k: options[k] for k in LAUNCH_ARGUMENTS} | {"artifact": ARTIFACT})) == 5
    )


def test_missing_package_is_one_line():
    with pytest.raises(ConfigError, match="rviz2 is not installed"):
        command(by_name(rviz=True)["rviz"], prefix=_not_there)


def _not_there(package: str) -> str:
    from ament_index_python.packages import PackageNotFoundError

    raise PackageNotFoundError(package)


def normal(argv: list[str]) -> list[object]:
    """`argv` with parameter values parsed: launch writes YAML with line ends."""
    return [
        (word.partition(":=")[0], yaml.safe_load(word.partition(":=")[2])) if ":=" in word else word
        for word in argv
    ]


@pytest.mark.skipif(
    not HAS_LAUNCH, reason="launch and launch_ros are not installed (they are not among the wheels)"
)
@pytest.mark.parametrize(
    "options",
    [
        {"artifact": ARTIFACT},
        {"artifact": ARTIFACT, "backend": "real", "uri": RADIO, "name": "cf2", "candidates": 16},
    ],
)
def test_launch_file_gives_the_same_command_lines(options):
    """The real launch file, evaluated by the real launch; nothing is started."""
    from launch.utilities import perform_substitutions

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("fly_launch", PACKAGE / "launch" / "fly.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    values = {name: str(default) for name, (default, _) in LAUNCH_ARGUMENTS.items()}
    context.launch_configurations.update(values | {name: str(value) for name, value in options.items()})
    started = []
    for action in module.actions(context):
        if hasattr(action, "_perform_substitutions"):
            action._perform_substitutions(context)
            node_arguments = {"name": f"__node:={action.node_name.rpartition('/')[2]}"}
            node_arguments["ns"] = f"__ns:={action.expanded_node_namespace}"
            context.extend_locals({"ros_specific_arguments": node_arguments})
        started.append([perform_substitutions(context, word) for word in action.cmd])
    expected = [command(node) for node in fly_nodes(**options)]
    assert [normal(argv) for argv in started] == [normal(argv) for argv in expected]


def test_fly_reports_wrong_use_in_one_line():
    """The script itself, as a process."""
    words = [sys.executable, "-m", "kdp_crazyflie_bringup.fly", "--backend", "real"]
    ended = subprocess.run(words, capture_output=True, text=True, env=os.environ, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.strip().startswith("fly: backend real needs the robot's uri")
    assert len(ended.stderr.strip().splitlines()) == 1
