"""Which Python and ROS the set-up picks, and what it says when something is missing."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import machine
from machine import Interpreter, Ros, SetupError

WORKSPACE = Path("/home/someone/kdp")
COMPLETE = Interpreter("/usr/bin/python3", (3, 12, 3), headers=True, venv=True, rclpy=True, colcon=True)


def test_wheels_are_the_default():
    assert machine.find_ros({}, WORKSPACE) == Ros("wheels", "jazzy")
    assert machine.find_ros({"KDP_ROS": "kilted"}, WORKSPACE) == Ros("wheels", "kilted")


def test_a_sourced_ros_wins_over_wheels():
    sourced = {"ROS_DISTRO": "kilted", "AMENT_PREFIX_PATH": "/opt/ros/kilted", "KDP_ROS": "jazzy"}
    assert machine.find_ros(sourced, WORKSPACE) == Ros("system", "kilted")


def test_the_workspace_itself_is_no_ros_installation():
    own = {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": f"{WORKSPACE}/install/kdp_core:{WORKSPACE}/.venv"}
    assert machine.find_ros(own, WORKSPACE) == Ros("wheels", "jazzy")


@pytest.mark.parametrize(
    "environment",
    [{"KDP_ROS": "humble"}, {"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": "/opt/ros/humble"}],
)
def test_an_unknown_distribution_is_one_line(environment):
    with pytest.raises(SetupError, match=r"=humble: expected one of jazzy, kilted") as error:
        machine.find_ros(environment, WORKSPACE)
    assert "\n" not in str(error.value)


def test_missing_packages_are_one_apt_line(monkeypatch):
    monkeypatch.setattr(
        machine.shutil, "which", lambda name: None if name in ("cmake", "c++") else f"/usr/bin/{name}"
    )
    bare = replace(COMPLETE, headers=False, venv=False)
    with pytest.raises(SetupError) as error:
        machine.require_system_packages(bare, Ros("wheels", "jazzy"))
    line = str(error.value)
    assert line.endswith("apt-get install -y build-essential cmake python3.12-dev python3.12-venv")


def test_nothing_missing_is_silent(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    machine.require_system_packages(COMPLETE, Ros("system", "jazzy"))
    machine.require_system_packages(replace(COMPLETE, rclpy=False, colcon=False), Ros("wheels", "jazzy"))


def test_a_sourced_ros_of_another_python_is_refused(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(SetupError, match="no rclpy"):
        machine.require_system_packages(replace(COMPLETE, rclpy=False), Ros("system", "jazzy"))


def test_interpreters_are_checked(monkeypatch):
    with pytest.raises(SetupError, match="no such Python"):
        machine.find_interpreter("/nowhere/python")
    versions = {"python3": (3, 10, 12), "python3.12": (3, 12, 3)}
    fake = {name: replace(COMPLETE, path=name, version=version) for name, version in versions.items()}
    monkeypatch.setattr(machine, "probe", fake.get)
    assert machine.find_interpreter("").version == (3, 12, 3)
    with pytest.raises(SetupError, match=r"is 3\.10\.12: expected Python 3\.11 to 3\.13"):
        machine.find_interpreter("python3")


def test_the_running_python_is_described():
    found = machine.probe(sys.executable)
    assert found is not None
    assert found.version == sys.version_info[:3]
    assert found.supported
