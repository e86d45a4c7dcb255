"""From `NodeSpec`s to launch actions; imported by launch files only, where ROS 2's `launch` is installed."""

from functools import partial

from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.descriptions import Parameter

from kdp_planner_ros.node_spec import NodeSpec, command
from kdp_planner_ros.process_group import INTERRUPT_S, TERMINATE_S
from kdp_planner_ros.start_graph import Graph
from launch import LaunchContext, LaunchDescription


def action(node: NodeSpec) -> ExecuteProcess:
    """Launch action of one process; the launch ends when a vital one does."""
    on_exit = [EmitEvent(event=Shutdown(reason=f"{node.name} ended"))] if node.vital else None
    patience = {"sigterm_timeout": str(INTERRUPT_S), "sigkill_timeout": str(TERMINATE_S)}
    common = {"output": "both", "on_exit": on_exit, **patience}
    if not node.ros:
        return ExecuteProcess(cmd=command(node), name=node.name, **common)
    return Node(
        package=node.package,
        executable=node.executable,
        name=node.name,
        namespace=node.namespace or None,
        arguments=list(node.arguments),
        parameters=[
            *node.parameter_files,
            *(Parameter(key, value) for key, value in node.parameters.items()),
        ],
        remappings=list(node.remappings),
        **common,
    )


def actions(graph: Graph, context: LaunchContext) -> list[ExecuteProcess]:
    """All actions, from the values that the launch arguments have now."""
    values = {}
    for name, (default, _) in graph.arguments.items():
        text = LaunchConfiguration(name).perform(context)
        values[name] = text.lower() in ("true", "1") if isinstance(default, bool) else type(default)(text)
    return [action(node) for node in graph.nodes(**values)]


def description(graph: Graph) -> LaunchDescription:
    """Arguments and the nodes that they ask for."""
    declared = [
        DeclareLaunchArgument(name, default_value=str(default), description=text)
        for name, (default, text) in graph.arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=partial(actions, graph))])
