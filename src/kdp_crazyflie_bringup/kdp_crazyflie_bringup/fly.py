# SPDX-License-Identifier: GPL-3.0-or-later
"""`fly`: start the flight graph without `launch`, one process per node (see `kdp_planner_ros.start_graph`).

Where ROS 2 is installed, use `ros2 launch kdp_crazyflie_bringup fly.launch.py`; both start what
`graph.fly_nodes` lists.
"""

from __future__ import annotations

import argparse
import sys

from kdp_crazyflie_bringup.graph import BRINGUP, CONTROL_PORT, CRTP_PORT, fly_nodes
from kdp_planner_ros import start_graph
from kdp_planner_ros.start_graph import Graph

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
GRAPH = Graph(BRINGUP, "fly.launch.py", LAUNCH_ARGUMENTS, fly_nodes)


def parser() -> argparse.ArgumentParser:
    """`--name value` for each argument of the launch file."""
    return start_graph.parser(GRAPH, "fly", __doc__)


def main(argv: list[str] | None = None) -> int:
    """Start the graph and stay until Ctrl-C."""
    return start_graph.script(GRAPH, "fly", __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
