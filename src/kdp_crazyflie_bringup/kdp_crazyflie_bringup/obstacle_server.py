# SPDX-License-Identifier: GPL-3.0-or-later
"""Node `obstacle_server`: publishes the known poles of a world, latched, on `obstacles`."""

from __future__ import annotations

from typing import Any

from kdp_msgs.msg import Cylinder, Obstacles
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from kdp_core.exceptions import KdpError
from kdp_core.sim.arena import MAX_POLES, Arena
from kdp_planner_ros.process import run

LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)  # fmt: skip


def load_world(seed: int, poles: int, world_file: str) -> Arena:
    """Return the world of a file, or the random world of (seed, poles) if no file is named.

    Raises:
        ConfigError: one line with the file or value that is wrong.
    """
    return Arena.load(world_file) if world_file else Arena.random(seed, poles)


class ObstacleServer(Node):
    """Publishes the poles at start and whenever a parameter changes."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("obstacle_server", **node_options)
        integer = IntegerRange(from_value=0, to_value=2**31 - 1, step=1)
        poles = IntegerRange(from_value=0, to_value=MAX_POLES, step=1)
        self.declare_parameter(
            "seed", 0, ParameterDescriptor(description="Seed of the random world.", integer_range=[integer])
        )
        self.declare_parameter(
            "poles", 16, ParameterDescriptor(description="Number of poles.", integer_range=[poles])
        )
        self.declare_parameter(
            "world_file",
            "",
            ParameterDescriptor(description="YAML file of an arena; wins over seed and poles."),
        )
        self.declare_parameter(
            "frame_id", "world", ParameterDescriptor(description="Frame of the obstacles.", read_only=True)
        )
        self._publisher = self.create_publisher(Obstacles, "obstacles", LATCHED)
        self.arena = load_world(**self._values())
        self.add_on_set_parameters_callback(self._check)
        self.add_post_set_parameters_callback(lambda _changed: self.publish())
        self.publish()

    def publish(self) -> None:
        """Publish the world that the parameters name."""
        self.arena = load_world(**self._values())
        message = Obstacles()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self.get_parameter("frame_id").value
        for x, y, radius in self.arena.poles.tolist():
            cylinder = Cylinder(radius=radius, height=float(self.arena.size[2]))
            cylinder.center.x, cylinder.center.y = x, y
            message.cylinders.append(cylinder)
        self._publisher.publish(message)
        self.get_logger().info(f"{len(message.cylinders)} poles: {self._values()}")

    def _values(self) -> dict[str, Any]:
        return {name: self.get_parameter(name).value for name in ("seed", "poles", "world_file")}

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        values = self._values() | {p.name: p.value for p in parameters if p.name in self._values()}
        try:
            load_world(**values)
        except KdpError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def main() -> None:
    """Run the node."""
    run(ObstacleServer, lambda _node: None)


if __name__ == "__main__":
    main()
