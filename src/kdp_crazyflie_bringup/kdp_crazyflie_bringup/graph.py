# SPDX-License-Identifier: GPL-3.0-or-later
"""The flight graph as plain data: one list that the launch file and the `fly` script both start.

`launch` is not among the ROS 2 wheels, so the nodes are described without it; `launch/fly.launch.py` maps
each `NodeSpec` to a `launch_ros` action, `fly.py` to a process. A test asserts that both give the same argv.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory

from kdp_core.exceptions import ConfigError
from kdp_core.shipped import shipped_artifact
from kdp_crazyflie_bringup.side_channel import CONTROL_PORT, CRTP_PORT

Backend = Literal["sim", "real"]
SHIPPED = "crazyflie"  # name of the artifact that comes with kdp_core
RVIZ_NAME = "cf1"  # whose topics rviz/fly.rviz names
RVIZ_TOPICS = ("plan_markers", "plan_path", "odom", "pose", "goal_pose")
BRINGUP, PLANNER = "kdp_crazyflie_bringup", "kdp_planner_ros"


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph.

    Attributes:
        package, executable: entry point `lib/<package>/<executable>`.
        name: node name, and the name of the log file.
        namespace: absolute, or empty.
        arguments: plain command-line arguments, before the ROS arguments.
        parameter_files: YAML files, read before `parameters`.
        parameters: single parameters; they win over the files.
        remappings: (from, to) pairs.
        ros: False for a plain process that takes no ROS arguments.
        vital: the graph ends when this process does. The planner is not: the driver must outlive it to land.
    """

    package: str
    executable: str
    name: str
    namespace: str = ""
    arguments: tuple[str, ...] = ()
    parameter_files: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    ros: bool = True
    vital: bool = False


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


def command(node: NodeSpec, prefix: Callable[[str], str] = get_package_prefix) -> list[str]:
    """Command line of `node`, in the order in which `launch_ros` puts it.

    Raises:
        ConfigError: the package or its executable is not installed.
    """
    try:
        executable = Path(prefix(node.package)) / "lib" / node.package / node.executable
    except PackageNotFoundError:
        raise ConfigError(f"package {node.package} is not installed here (needed for {node.name})") from None
    if not executable.exists():
        raise ConfigError(f"{executable} is missing: build the workspace with `make setup`")
    return [str(executable), *node.arguments, *ros_arguments(node)]


def ros_arguments(node: NodeSpec) -> Sequence[str]:
    """`--ros-args …` of `node`; empty for a plain process."""
    if not node.ros:
        return []
    words = ["--ros-args", "-r", f"__node:={node.name}"]
    if node.namespace:
        words += ["-r", f"__ns:={node.namespace}"]
    for file in node.parameter_files:
        words += ["--params-file", file]
    for key, value in node.parameters.items():
        words += ["-p", f"{key}:={yaml_scalar(value)}"]
    for source, target in node.remappings:
        words += ["-r", f"{source}:={target}"]
    return words


def yaml_scalar(value: Any) -> str:
    """`value` as ROS reads it on a command line: YAML, so that an empty or numeric string stays a string."""
    text = yaml.safe_dump(value, width=10**6, default_flow_style=True).strip()
    return text.removesuffix("...").strip()
