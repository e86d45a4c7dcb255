"""Start a graph of nodes without `launch`, one process per node, or by `ros2 launch` where it exists.

This is not a launch system: no conditions, no includes, no substitutions. Where ROS 2 is installed, use the
bringup's launch file; both start the same `NodeSpec`s with the same command lines.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdp_core.exceptions import ConfigError, KdpError
from kdp_planner_ros.node_spec import NodeSpec, command
from kdp_planner_ros.process_group import ProcessGroup


@dataclass(frozen=True)
class Graph:
    """What a bringup can start.

    Attributes:
        package, launch_file: for `ros2 launch`.
        arguments: name -> (default, meaning); the arguments of launch file and script alike.
        nodes: from their values to the processes. Raises KdpError.
    """

    package: str
    launch_file: str
    arguments: dict[str, tuple[Any, str]]
    nodes: Callable[..., list[NodeSpec]]


def parser(graph: Graph, prog: str, description: str | None) -> argparse.ArgumentParser:
    """`--name value` for each argument of the launch file."""
    made = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, (default, text) in graph.arguments.items():
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


def start_graph(
    group: ProcessGroup, graph: Graph, arguments: dict[str, Any], use_launch: bool | None = False
) -> str:
    """Start the graph in `group`; returns what started it, `processes` or `ros2 launch`.

    Args:
        group: empty.
        graph: what to start.
        arguments: some of the graph's arguments.
        use_launch: None takes `ros2 launch` where it exists.

    Raises:
        KdpError: one line; what was started already is the caller's to stop.
    """
    nodes = graph.nodes(**arguments)
    if use_launch is not False and (ros2 := find_ros2_launch()):
        words = [f"{name}:={value}" for name, value in arguments.items() if value != ""]
        group.start("ros2_launch", [ros2, "launch", graph.package, graph.launch_file, *words])
        return "ros2 launch"
    if use_launch:
        raise ConfigError("`ros2 launch` is not installed here")
    for node, words in [(node, command(node)) for node in nodes]:  # all commands before the first process
        group.start(node.name, words, vital=node.vital)
    return "processes"


def find_ros2_launch() -> str:
    """Path of a `ros2` that can launch, else empty."""
    return shutil.which("ros2") or "" if importlib.util.find_spec("ros2launch") else ""


def run(group: ProcessGroup, prog: str, interrupted: threading.Event) -> int:
    """Wait until a vital process ends or we are interrupted, then stop the rest; returns the exit code.

    The death of another process is only told: if the planner dies, the driver must live to stop the robot.
    """
    code = 0
    try:
        while not interrupted.wait(0.2):
            for ended in group.ended():
                print(f"{prog}: {ended}", file=sys.stderr, flush=True)
                code = 1
                if group.is_vital(ended.name):
                    return code
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough
        group.stop()
    return code


def script(graph: Graph, prog: str, description: str | None, argv: list[str] | None = None) -> int:
    """Start the graph from the command line and stay until Ctrl-C; returns the exit code."""
    options = vars(parser(graph, prog, description).parse_args(argv))
    group = ProcessGroup(options.pop("log"))
    interrupted = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: interrupted.set())
    try:
        start_graph(group, graph, options)
    except KdpError as error:
        group.stop()
        print(f"{prog}: {error}", file=sys.stderr)
        return 2
    return run(group, prog, interrupted)
