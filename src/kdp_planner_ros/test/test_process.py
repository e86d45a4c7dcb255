"""The nodes as processes: parameter files, errors of users, Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CONFIG = Path(__file__).parent.parent / "config"
MAIN = {
    "planner": "from kdp_planner_ros.planner_node import main; main()",
    "latency_monitor": "from kdp_planner_ros.latency_monitor import main; main()",
}


def start(node, *ros_args):
    environment = {**os.environ, "ROS_DOMAIN_ID": "39", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    command = [sys.executable, "-c", MAIN[node], "--ros-args", "-r", "__ns:=/cf1", *ros_args]
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def parameters(node):
    return [
        "--params-file",
        str(CONFIG / f"{node}.param.yaml"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "parameter 'artifact' is empty"),
        (["-p", "artifact:=/nowhere/at/all"], "/nowhere/at/all"),
        (["-p", "candidates:=1000"], "candidates"),
        (["-p", "candidates:=many"], "candidates"),
        (["-p", "rate_hz:=-1.0"], "rate_hz"),
        (["--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, words):
    process = start("planner", *parameters("planner"), *arguments)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and words in lines[0]
    assert "Traceback" not in errors


def test_wrong_side_channel_is_one_line():
    process = start("latency_monitor", "-p", "side_channel:=nonsense")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "error: side_channel 'nonsense': expected host:port" in errors and "Traceback" not in errors


@pytest.mark.parametrize("node", ["planner", "latency_monitor"])
def test_parameter_file_holds_every_parameter_and_ctrl_c_twice_ends_cleanly(node):
    extra = ["-p", "autostart:=false"] if node == "planner" else []
    process = start(node, *parameters(node), "-p", "use_sim_time:=false", *extra, "--log-level", "debug")
    for line in process.stderr:  # the node is up once it waits for messages
        if "Initializing wait set" in line:
            break
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors[-2000:]
    assert "Traceback" not in errors
    if node == "latency_monitor":
        assert "end to end" in output and "0 cycles" in output


def test_parameter_file_names_exactly_the_declared_parameters():
    from kdp_planner_ros.parameters import Settings

    content = yaml.safe_load((CONFIG / "planner.param.yaml").read_text())
    assert set(content["/**/planner"]["ros__parameters"]) == set(Settings.__dataclass_fields__)
