"""Node `object_pose_server`: plays perception for the simulated arm, cube poses with noise on `object_poses`.

It takes the simulator's truth from the side channel, as a camera would look at the table, adds noise and a
delay, and publishes at a camera's rate. With a real arm it is not started: whoever perceives the objects
publishes kdp_msgs/ObjectPoses there, in the base's frame: row 0 the cube to move, row 1 the one to stack on.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from kdp_msgs.msg import ObjectPoses
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from kdp_planner_ros.process import run
from kdp_planner_ros.receipts import parse_address
from kdp_so100_bringup.truth import Truth, TruthListener

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
STALE_S = 0.2


def noisy(poses: np.ndarray, position_m: float, rotation_rad: float, rng: np.random.Generator) -> np.ndarray:
    """Poses (n, 7) with independent normal errors along and small rotations about each axis."""
    measured = poses.copy()
    n = len(poses)
    measured[:, :3] += position_m * rng.standard_normal((n, 3))
    half = 0.5 * rotation_rad * rng.standard_normal((n, 3))
    vector, scalar = poses[:, 3:6], poses[:, 6:]
    measured[:, 3:6] = vector + scalar * half + np.cross(half, vector)
    measured[:, 6:] = scalar - (vector * half).sum(axis=1, keepdims=True)
    measured[:, 3:] /= np.linalg.norm(measured[:, 3:], axis=1, keepdims=True)
    return measured


class ObjectPoseServer(Node):
    """Publishes the newest truth that is old enough, once per camera frame."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("object_pose_server", **node_options)
        address = self._text("side_channel", "127.0.0.1:19861", "host:port of the simulator.")
        rate = self._number("rate", 30.0, "Frames per second.", 1.0, 100.0)
        self._position_m = self._number("noise_position", 0.001, "Per axis, 1 sigma, m.", 0.0, 0.1)
        self._rotation_rad = self._number("noise_rotation", 0.0175, "Per axis, 1 sigma, rad.", 0.0, 1.0)
        self._delay_s = self._number("delay", 0.0, "From the image to the message, s.", 0.0, 1.0)
        self._frame = self._text("frame_id", "world", "Frame of the poses: the arm's base.")
        seed = self.declare_parameter(
            "seed",
            0,
            ParameterDescriptor(
                description="Seed of the noise.",
                integer_range=[IntegerRange(from_value=0, to_value=2**31 - 1, step=1)],
                read_only=True,
            ),
        ).value
        self._rng = np.random.default_rng(seed)
        self._listener = TruthListener(parse_address(address))
        self._waiting: deque[Truth] = deque(maxlen=100)
        self._publisher = self.create_publisher(ObjectPoses, "object_poses", NEWEST)
        self.create_timer(1.0 / rate, self._publish)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _publish(self) -> None:
        truth = self._listener.latest
        if truth is not None and (not self._waiting or truth.t_ns != self._waiting[-1].t_ns):
            self._waiting.append(truth)
        now_ns = time.monotonic_ns()
        seen = None
        while self._waiting and now_ns - self._waiting[0].t_ns >= self._delay_s * 1e9:
            seen = self._waiting.popleft()
        if seen is None or now_ns - seen.t_ns > (self._delay_s + STALE_S) * 1e9:
            return
        poses = noisy(seen.cube_poses, self._position_m, self._rotation_rad, self._rng)
        message = ObjectPoses(names=[f"cube_{i}" for i in range(len(poses))])
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self._frame
        for row in poses.tolist():
            pose = Pose()
            pose.position.x, pose.position.y, pose.position.z = row[:3]
            q = pose.orientation
            q.x, q.y, q.z, q.w = row[3:]
            message.poses.append(pose)
        self._publisher.publish(message)

    def _text(self, name: str, default: str, text: str) -> str:
        descriptor = ParameterDescriptor(description=text, read_only=True)
        return str(self.declare_parameter(name, default, descriptor).value)

    def _number(self, name: str, default: float, text: str, low: float, high: float) -> float:
        bounds = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
        descriptor = ParameterDescriptor(description=text, floating_point_range=bounds, read_only=True)
        return float(self.declare_parameter(name, default, descriptor).value)


def main() -> None:
    """Run the node."""
    run(ObjectPoseServer, ObjectPoseServer.close)


if __name__ == "__main__":
    main()
