# SPDX-License-Identifier: GPL-3.0-or-later
"""`fly`: start the flight graph without `launch`, one process per node.

This is not a launch system: no conditions, no includes, no substitutions. Where ROS 2 is installed, use
`ros2 launch kdp_crazyflie_bringup fly.launch.py`; both start what `graph.fly_nodes` lists.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from kdp_core.exceptions import ConfigError, KdpError
from kdp_crazyflie_bringup.graph import BRINGUP, CONTROL_PORT, CRTP_PORT, command, fly_nodes
from kdp_crazyflie_bringup.process_group import ProcessGroup

LAUNCH_ARGUMENTS = {
    "backend": ("sim", "sim: simulated Crazyflie; real: the one at uri"),
    "uri": ("", "link of the real Crazyflie, such as radio://0/80/2M/E7E7E7E7E7"),
    "artifact": ("", "directory of the planner's artifact; empty: the shipped one"),
    "name": ("cf1", "name of the robot and namespace of its nodes"),
    "world_seed": (0, "seed of the world: known obstacles, and what the simulation flies in"),
    "poles": (16, "number of poles of that world"),
    "candidates": (64, "windows per plan, K"),
    "rviz": (False, "also start RViz"),
    "latency_out": ("", "directory for the latency monitor's latency.json and latency.csv; empty: none"),
    "crtp_port": (CRTP_PORT, "UDP port of the simulated Crazyflie"),
    "control_port": (CONTROL_PORT, "UDP port of its side channel"),
}


def parser() -> argparse.ArgumentParser:
    """`--name value` for each argument of the launch file."""
    made = argparse.ArgumentParser(
        prog="fly", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, (default, text) in LAUNCH_ARGUMENTS.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(default, bool):
            made.add_argument(flag, action="store_true", help=text)
        else:
            made.add_argument(
                flag, type=type(default), default=default, help=f"{text} (default: {default!r})"
            )
    made.add_argument(
        "--log", type=Path, help="directory for one log file per process; default: this terminal"
    )
    return made


def start_graph(group: ProcessGroup, arguments: dict[str, Any], use_launch: bool | None = False) -> str:
    """Start the graph in `group`; returns what started it, `processes` or `ros2 launch`.

    Args:
        group: empty.
        arguments: some of LAUNCH_ARGUMENTS.
        use_launch: None takes `ros2 launch` where it exists.

    Raises:
        KdpError: one line; what was started already is the caller's to stop.
    """
    nodes = fly_nodes(**arguments)
    if use_launch is not False and (ros2 := find_ros2_launch()):
        words = [f"{name}:={value}" for name, value in arguments.items() if value != ""]
        group.start("ros2_launch", [ros2, "launch", BRINGUP, "fly.launch.py", *words])
        return "ros2 launch"
    if use_launch:
        raise ConfigError("`ros2 launch` is not installed here")
    for node, words in [(node, command(node)) for node in nodes]:  # all commands before the first process
        group.start(node.name, words, vital=node.vital)
    return "processes"


def find_ros2_launch() -> str:
    """Path of a `ros2` that can launch, else empty."""
    return shutil.which("ros2") or "" if importlib.util.find_spec("ros2launch") else ""


def run(group: ProcessGroup, interrupted: threading.Event) -> int:
    """Wait until a vital process ends or we are interrupted, then stop the rest; returns the exit code.

    The death of another process is only told: if the planner dies in flight, the driver must live to land.
    """
    code = 0
    try:
        while not interrupted.wait(0.2):
            for ended in group.ended():
                print(f"fly: {ended}", file=sys.stderr, flush=True)
                code = 1
                if group.is_vital(ended.name):
                    return code
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough
        group.stop()
    return code


def main(argv: list[str] | None = None) -> int:
    """Start the graph and stay until Ctrl-C."""
    options = vars(parser().parse_args(argv))
    group = ProcessGroup(options.pop("log"))
    interrupted = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: interrupted.set())
    try:
        start_graph(group, options)
    except KdpError as error:
        group.stop()
        print(f"fly: {error}", file=sys.stderr)
        return 2
    return run(group, interrupted)


if __name__ == "__main__":
    sys.exit(main())
