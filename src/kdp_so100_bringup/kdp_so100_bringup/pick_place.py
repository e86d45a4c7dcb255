"""`pick_place`: start the arm's graph without `launch`, one process per node (`kdp_planner_ros.start_graph`).

Where ROS 2 is installed, use `ros2 launch kdp_so100_bringup pick_place.launch.py`; both start what
`graph.arm_nodes` lists.
"""

from __future__ import annotations

import argparse
import sys

from kdp_planner_ros import start_graph
from kdp_so100_bringup.graph import GRAPH


def parser() -> argparse.ArgumentParser:
    """`--name value` for each argument of the launch file."""
    return start_graph.parser(GRAPH, "pick_place", __doc__)


def main(argv: list[str] | None = None) -> int:
    """Start the graph and stay until Ctrl-C."""
    return start_graph.script(GRAPH, "pick_place", __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
