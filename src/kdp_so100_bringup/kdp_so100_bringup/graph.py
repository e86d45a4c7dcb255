"""The arm's graph as plain data: one list that the launch file and the `pick_place` script both start.

See `kdp_planner_ros.node_spec`. A test asserts that both give the same command lines.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from ament_index_python.packages import get_package_share_directory

from kdp_core.exceptions import ConfigError
from kdp_core.shipped import shipped_artifact
from kdp_planner_ros.node_spec import NodeSpec
from kdp_planner_ros.start_graph import Graph
from kdp_so100_bringup.arm_bus import BACKENDS
from kdp_so100_bringup.side_channel import CONTROL_PORT
from kdp_so100_bringup.urdf import so100_urdf

Backend = Literal["sim", "real"]
TASKS = ("pick_place", "stack")
SHIPPED = {"pick_place": "so100_pick_place", "stack": "so100_stack"}  # artifacts that come with kdp_core
SIM_CALIBRATION = "so100_sim.calibration.json"
SIM_PORT = Path(tempfile.gettempdir()) / "kdp_so100"  # the side channel's port is appended
REAL_PORT = "/dev/ttyACM0"
RVIZ_NAME = "so100"  # whose topics rviz/pick_place.rviz names
RVIZ_TOPICS = ("plan_markers", "plan_path", "goal_pose", "robot_description")
BRINGUP, PLANNER = "kdp_so100_bringup", "kdp_planner_ros"

ARGUMENTS = {
    "backend": ("sim", "sim: simulated SO-100; real: the one at port"),
    "port": ("", f"serial port of the servos; empty: {REAL_PORT}, or the simulator's"),
    "calibration": ("", "calibration file in lerobot's format; a real arm needs it"),
    "bus": ("scservo_sdk", f"who talks to the servos: {' or '.join(BACKENDS)}"),
    "task": ("pick_place", " or ".join(TASKS)),
    "artifact": ("", "directory of the planner's artifact; empty: the shipped one of the task"),
    "name": ("so100", "name of the robot and namespace of its nodes"),
    "scene_seed": (0, "seed of the simulated scene"),
    "candidates": (64, "windows per plan, K"),
    "rviz": (False, "also start RViz, with a model of the arm"),
    "latency_out": ("", "directory for the latency monitor's latency.json and latency.csv; empty: none"),
    "control_port": (CONTROL_PORT, "UDP port of the simulator's side channel"),
}


def arm_nodes(
    *,
    backend: Backend = "sim",
    port: str = "",
    calibration: str = "",
    bus: str = "scservo_sdk",
    task: str = "pick_place",
    artifact: str = "",
    name: str = "so100",
    scene_seed: int = 0,
    candidates: int = 64,
    rviz: bool = False,
    latency_out: str = "",
    control_port: int = CONTROL_PORT,
    share: Callable[[str], str] = get_package_share_directory,
) -> list[NodeSpec]:
    """Processes that move one SO-100; arguments as in ARGUMENTS. `share` finds a package's share directory.

    Raises:
        ConfigError: a value that no graph can have.
        ArtifactError: no artifact is named and none was shipped.
    """
    if backend not in ("sim", "real"):
        raise ConfigError(f"backend must be sim or real, got {backend!r}")
    if task not in TASKS:
        raise ConfigError(f"task must be {' or '.join(TASKS)}, got {task!r}")
    if bus not in BACKENDS:
        raise ConfigError(f"bus must be {' or '.join(BACKENDS)}, got {bus!r}")
    sim = backend == "sim"
    if not sim and not calibration:
        raise ConfigError(
            "backend real needs the arm's calibration file, as lerobot-calibrate wrote it: calibration:=FILE"
        )
    namespace = f"/{name}"
    artifact = str(Path(artifact).expanduser().resolve() if artifact else shipped_artifact(SHIPPED[task]))
    config = Path(share(BRINGUP)) / "config"
    defaults = Path(share(PLANNER)) / "config" / "planner.param.yaml"
    port = port or (f"{SIM_PORT}_{control_port}" if sim else REAL_PORT)
    calibration = calibration or str(config / SIM_CALIBRATION)
    side_channel = f"127.0.0.1:{control_port}"
    nodes = []
    if sim:
        arguments = {"link": port, "control-port": control_port, "task": task, "seed": scene_seed}
        arguments |= {"encoder-ticks": 0.5, "calibration": calibration}
        flags = tuple(text for key, value in arguments.items() for text in (f"--{key}", str(value)))
        nodes.append(NodeSpec(BRINGUP, "so100_sim", "so100_sim", arguments=flags, ros=False, vital=True))
    nodes.append(
        NodeSpec(
            BRINGUP,
            "so100_driver",
            "so100_driver",
            namespace,
            parameter_files=(str(config / "so100_driver.param.yaml"),),
            parameters={"port": port, "bus": bus, "calibration": calibration},
            vital=True,
        )
    )
    if sim:
        nodes.append(
            NodeSpec(
                BRINGUP,
                "object_pose_server",
                "object_pose_server",
                namespace,
                parameter_files=(str(config / "object_pose_server.param.yaml"),),
                parameters={"side_channel": side_channel},
            )
        )
    nodes += [
        NodeSpec(
            PLANNER,
            "planner",
            "planner",
            namespace,
            parameter_files=(str(defaults), str(config / "planner.param.yaml")),
            parameters={"artifact": artifact, "candidates": candidates},
        ),
        NodeSpec(
            PLANNER,
            "latency_monitor",
            "latency_monitor",
            namespace,
            parameters={"side_channel": side_channel if sim else "", "output_dir": latency_out},
        ),
    ]
    if rviz:
        file = Path(share(BRINGUP)) / "rviz" / "pick_place.rviz"
        moved = (
            () if name == RVIZ_NAME else tuple((f"/{RVIZ_NAME}/{t}", f"{namespace}/{t}") for t in RVIZ_TOPICS)
        )
        model = {"robot_description": so100_urdf(name)}
        nodes.append(
            NodeSpec(
                "robot_state_publisher",
                "robot_state_publisher",
                "robot_state_publisher",
                namespace,
                parameters=model,
            )
        )
        nodes.append(NodeSpec("rviz2", "rviz2", "rviz", arguments=("-d", str(file)), remappings=moved))
    return nodes


GRAPH = Graph(BRINGUP, "pick_place.launch.py", ARGUMENTS, arm_nodes)
