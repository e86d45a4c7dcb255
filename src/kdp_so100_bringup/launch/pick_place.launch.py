"""Move one SO-100, simulated or real: `ros2 launch kdp_so100_bringup pick_place.launch.py backend:=sim`.

The nodes are listed in `kdp_so100_bringup.graph`; this file only turns them into launch actions.
"""

from functools import partial

from kdp_planner_ros import launch_actions
from kdp_so100_bringup.graph import GRAPH
from launch import LaunchDescription

actions = partial(launch_actions.actions, GRAPH)


def generate_launch_description() -> LaunchDescription:
    """Arguments and the nodes that they ask for."""
    return launch_actions.description(GRAPH)
