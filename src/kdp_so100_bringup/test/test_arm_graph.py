"""One list of nodes, two ways to start it, the same command lines; every parameter file fits its node."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kdp_core.exceptions import ConfigError
from kdp_planner_ros.node_spec import NodeSpec, command, ros_arguments
from kdp_planner_ros.parameters import _DECLARED as PLANNER_PARAMETERS
from kdp_so100_bringup.calibration import Calibration
from kdp_so100_bringup.driver_parameters import _DECLARED as DRIVER_PARAMETERS
from kdp_so100_bringup.graph import ARGUMENTS, GRAPH, SIM_CALIBRATION, arm_nodes
from kdp_so100_bringup.pick_place import parser
from kdp_so100_bringup.sim_arm import arm_calibration

PACKAGE = Path(__file__).resolve().parents[1]
HAS_LAUNCH = (
    importlib.util.find_spec("launch") is not None and importlib.util.find_spec("launch_ros") is not None
)
ARTIFACT = "/somewhere/artifact"
REAL = {"backend": "real", "port": "/dev/ttyACM3", "calibration": "/home/me/arm.json"}


def share(package: str) -> str:
    return f"/share/{package}"


def by_name(**options: object) -> dict[str, NodeSpec]:
    return {node.name: node for node in arm_nodes(share=share, **{"artifact": ARTIFACT, **options})}


def test_simulated_and_real_differ_only_where_they_must():
    sim, real = by_name(), by_name(**REAL)
    assert set(sim) - set(real) == {"so100_sim", "object_pose_server"}
    driver = real["so100_driver"].parameters
    assert (driver["port"], driver["calibration"]) == ("/dev/ttyACM3", "/home/me/arm.json")
    assert real["latency_monitor"].parameters["side_channel"] == ""
    assert sim["planner"] == real["planner"]
    assert sim["so100_driver"].parameter_files == real["so100_driver"].parameter_files


def test_planner_and_driver_know_nothing_of_the_side_channel():
    nodes = by_name(control_port=23456, port="/dev/pts/9")
    for name in ("planner", "so100_driver"):
        assert "23456" not in " ".join(ros_arguments(nodes[name]))
    for name in ("object_pose_server", "latency_monitor"):
        assert "23456" in " ".join(ros_arguments(nodes[name]))
    assert "23456" in nodes["so100_sim"].arguments


def test_simulator_and_driver_meet_at_one_port_with_one_calibration():
    nodes = by_name(control_port=23456)
    arguments = nodes["so100_sim"].arguments
    driver = nodes["so100_driver"].parameters
    assert arguments[arguments.index("--link") + 1] == driver["port"]
    assert arguments[arguments.index("--calibration") + 1] == driver["calibration"]
    assert driver["port"] != by_name()["so100_driver"].parameters["port"]  # two simulators side by side


def test_driver_outlives_the_planner():
    """The graph ends with driver or simulator; a dead planner must leave a driver to lower the arm."""
    assert {n.name for n in by_name().values() if n.vital} == {"so100_sim", "so100_driver"}


def test_all_nodes_in_the_namespace_of_the_robot():
    nodes = by_name(name="left", rviz=True)
    assert {node.namespace for node in nodes.values() if node.ros and node.name != "rviz"} == {"/left"}
    assert ("/so100/goal_pose", "/left/goal_pose") in nodes["rviz"].remappings
    assert by_name(rviz=True)["rviz"].remappings == ()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"backend": "gazebo"}, "gazebo"),
        ({"task": "juggle"}, "juggle"),
        ({"bus": "dynamixel"}, "dynamixel"),
        ({"backend": "real"}, "calibration"),
    ],
)
def test_impossible_graphs(options, named):
    with pytest.raises(ConfigError, match=named):
        arm_nodes(share=share, artifact=ARTIFACT, **options)


@pytest.mark.parametrize(
    ("file", "declared"),
    [("so100_driver.param.yaml", DRIVER_PARAMETERS), ("planner.param.yaml", PLANNER_PARAMETERS)],
)
def test_parameter_files_name_parameters_that_exist(file, declared):
    (content,) = yaml.safe_load((PACKAGE / "config" / file).read_text()).values()
    given = content["ros__parameters"]
    assert set(given) <= set(declared)
    for name, value in given.items():
        assert isinstance(value, type(declared[name].default)), name


def test_the_drivers_file_has_every_parameter_with_its_default():
    (content,) = yaml.safe_load((PACKAGE / "config" / "so100_driver.param.yaml").read_text()).values()
    assert content["ros__parameters"] == {name: item.default for name, item in DRIVER_PARAMETERS.items()}


def test_the_simulators_calibration_is_shipped():
    assert Calibration.load(PACKAGE / "config" / SIM_CALIBRATION).motors == arm_calibration().motors


def test_script_and_launch_file_take_the_same_arguments():
    options = vars(parser().parse_args([]))
    assert {k: options[k] for k in ARGUMENTS} == {k: default for k, (default, _) in ARGUMENTS.items()}
    nodes = arm_nodes(share=share, **{k: options[k] for k in ARGUMENTS} | {"artifact": ARTIFACT})
    assert len(nodes) == 5


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
    "options", [{"artifact": ARTIFACT}, {"artifact": ARTIFACT, "name": "left", "candidates": 16, **REAL}]
)
def test_launch_file_gives_the_same_command_lines(options):
    """The real launch file, evaluated by the real launch; nothing is started."""
    from launch.utilities import perform_substitutions

    from launch import LaunchContext

    spec = importlib.util.spec_from_file_location("arm_launch", PACKAGE / "launch" / GRAPH.launch_file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    values = {name: str(default) for name, (default, _) in ARGUMENTS.items()}
    context.launch_configurations.update(values | {name: str(value) for name, value in options.items()})
    started = []
    for action in module.actions(context):
        if hasattr(action, "_perform_substitutions"):
            action._perform_substitutions(context)
            node_arguments = {"name": f"__node:={action.node_name.rpartition('/')[2]}"}
            node_arguments["ns"] = f"__ns:={action.expanded_node_namespace}"
            context.extend_locals({"ros_specific_arguments": node_arguments})
        started.append([perform_substitutions(context, word) for word in action.cmd])
    expected = [command(node) for node in arm_nodes(**options)]
    assert [normal(argv) for argv in started] == [normal(argv) for argv in expected]


def test_the_script_reports_wrong_use_in_one_line():
    """The script itself, as a process."""
    words = [sys.executable, "-m", "kdp_so100_bringup.pick_place", "--backend", "real"]
    ended = subprocess.run(words, capture_output=True, text=True, env=os.environ, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.strip().startswith("pick_place: backend real needs the arm's calibration file")
    assert len(ended.stderr.strip().splitlines()) == 1
