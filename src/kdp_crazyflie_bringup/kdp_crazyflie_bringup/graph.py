# SPDX-License-Identifier: GPL-3.0-or-later
"""The flight graph as plain data: one list that the launch file and the `fly` script both start.

See `kdp_planner_ros.node_spec`. A test asserts that both give the same command lines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ament_index_python.packages import get_package_share_directory

from kdp_core.exceptions import ConfigError
from kdp_core.shipped import shipped_artifact
from kdp_crazyflie_bringup.side_channel import CONTROL_PORT, CRTP_PORT
from kdp_planner_ros.node_spec import NodeSpec

Backend = Literal["sim", "real"]
SHIPPED = "crazyflie"  # name of the artifact that comes with kdp_core
RVIZ_NAME = "cf1"  # whose topics rviz/fly.rviz names
RVIZ_TOPICS = ("plan_markers", "plan_path", "odom", "pose", "goal_pose")
BRINGUP, PLANNER = "kdp_crazyflie_bringup", "kdp_planner_ros"


def fly_nodes(
    *,
    backend: Backend = "sim",
    uri: str = "",
    artifact: str = "",
    name: str = "cf1",
    world_seed: int = 0,
    poles: int = 16,
    candidates: int = 64,
    rviz: bool = False,
    latency_out: str = "",
    crtp_port: int = CRTP_PORT,
    control_port: int = CONTROL_PORT,
    share: Callable[[str], str] = get_package_share_directory,
) -> list[NodeSpec]:
    """Processes that fly one Crazyflie.

    Args:
        backend: `sim` starts a simulated Crazyflie on UDP, `real` flies what `uri` names.
        uri: link of the Crazyflie, such as `radio://0/80/2M/E7E7E7E7E7`. `real` needs it; `sim` has its own.
        artifact: directory of the planner's artifact; empty: the shipped one.
        name: name of the robot, and namespace of its nodes.
        world_seed, poles: known obstacles (and simulated world) are `Arena.random(world_seed, poles)`.
        candidates: K windows per plan.
        rviz: also start RViz.
        latency_out: directory for the latency monitor's files; empty: none.
        crtp_port, control_port: UDP ports of the simulated Crazyflie.
        share: finds the share directory of a package.

    Raises:
        ConfigError: a value that no graph can have.
        ArtifactError: no artifact is named and none was shipped.
    """
    if backend not in ("sim", "real"):
        raise ConfigError(f"backend must be sim or real, got {backend!r}")
    if backend == "real" and not uri:
        raise ConfigError("backend real needs the robot's uri, for example uri:=radio://0/80/2M/E7E7E7E7E7")
    sim = backend == "sim"
    namespace = f"/{name}"
    artifact = str(Path(artifact).expanduser().resolve() if artifact else shipped_artifact(SHIPPED))
    config = Path(share(BRINGUP)) / "config"
    planner_config = Path(share(PLANNER)) / "config" / "planner.param.yaml"
    nodes = []
    if sim:
        arguments = {"port": crtp_port, "control-port": control_port, "seed": world_seed, "poles": poles}
        flags = tuple(text for key, value in arguments.items() for text in (f"--{key}", str(value)))
        nodes.append(
            NodeSpec(BRINGUP, "crazyflie_sim", "crazyflie_sim", arguments=flags, ros=False, vital=True)
        )
    nodes += [
        NodeSpec(
            BRINGUP,
            "crazyflie_driver",
            "crazyflie_driver",
            namespace,
            parameter_files=(str(config / "crazyflie_driver.param.yaml"),),
            parameters={"uri": f"udp://127.0.0.1:{crtp_port}" if sim else uri},
            vital=True,
        ),
        NodeSpec(
            BRINGUP,
            "obstacle_server",
            "obstacle_server",
            namespace,
            parameter_files=(str(config / "obstacle_server.param.yaml"),),
            parameters={"seed": world_seed, "poles": poles},
        ),
        NodeSpec(
            PLANNER,
            "planner",
            "planner",
            namespace,
            parameter_files=(str(planner_config),),
            parameters={"artifact": artifact, "candidates": candidates},
        ),
        NodeSpec(
            PLANNER,
            "latency_monitor",
            "latency_monitor",
            namespace,
            parameters={
                "side_channel": f"127.0.0.1:{control_port}" if sim else "",
                "output_dir": latency_out,
            },
        ),
    ]
    if rviz:
        file = Path(share(BRINGUP)) / "rviz" / "fly.rviz"
        moved = (
            () if name == RVIZ_NAME else tuple((f"/{RVIZ_NAME}/{t}", f"{namespace}/{t}") for t in RVIZ_TOPICS)
        )
        nodes.append(NodeSpec("rviz2", "rviz2", "rviz", arguments=("-d", str(file)), remappings=moved))
    return nodes
