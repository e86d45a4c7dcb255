"""One process of a graph as plain data, and its command line.

`launch` is not among the ROS 2 wheels, so a bringup describes its nodes without it: its launch file maps each
`NodeSpec` to a `launch_ros` action, its script (see `start_graph`) to a process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from kdp_core.exceptions import ConfigError


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
