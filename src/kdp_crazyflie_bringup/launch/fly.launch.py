# SPDX-License-Identifier: GPL-3.0-or-later
"""Fly one Crazyflie, simulated or real: `ros2 launch kdp_crazyflie_bringup fly.launch.py backend:=sim`.

The nodes are listed in `kdp_crazyflie_bringup.graph`; this file only turns them into launch actions.
"""

from functools import partial

from kdp_crazyflie_bringup.fly import GRAPH
from kdp_planner_ros import launch_actions
from launch import LaunchDescription

actions = partial(launch_actions.actions, GRAPH)


def generate_launch_description() -> LaunchDescription:
    """Arguments and the nodes that they ask for."""
    return launch_actions.description(GRAPH)
