# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator of the driver node for process tests."""

import os
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import rclpy
from kdp_msgs.msg import RobotStatus, Timing, VelocityWorld
from nav_msgs.msg import Odometry
from processes import wait_until
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

DOMAIN = 60 + os.getpid() % 40


class Operator:
    """A ROS node of the test: newest messages, service calls, velocity commands."""

    def __init__(self):
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("operator", namespace="/cf1", context=self.context)
        self.odom, self.timings, self.history = [], [], []
        self.latest = None
        self.node.create_subscription(RobotStatus, "status", self._status, 10)
        self.node.create_subscription(Odometry, "odom", self.odom.append, 10)
        self.node.create_subscription(Timing, "driver/timing", self.timings.append, 50)
        self.publisher = self.node.create_publisher(VelocityWorld, "cmd_velocity_world", 1)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()

    def _status(self, message):
        self.history.append(message)
        self.latest = message

    @property
    def state(self):
        return None if self.latest is None else self.latest.state

    def call(self, kind, name, **fields):
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(10.0), name
        future = client.call_async(kind.Request(**fields))
        wait_until(future.done, 5.0, f"answer of {name}")
        return future.result()

    def set(self, name, value):
        """Change a parameter of the driver."""
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        return self.call(SetParameters, "crazyflie_driver/set_parameters", parameters=parameters).results[0]

    def velocity(self, x, y=0.0, z=0.0, stamp=None, frame="world"):
        message = VelocityWorld()
        message.header.frame_id = frame
        message.header.stamp = self.odom[-1].header.stamp if stamp is None else stamp
        message.vel.x, message.vel.y, message.vel.z = x, y, z
        self.publisher.publish(message)

    def stream(self, seconds, x, y=0.0):
        """Command a velocity at 50 Hz."""
        done = threading.Event()
        for _ in range(round(seconds / 0.02)):
            self.velocity(x, y)
            done.wait(0.02)

    def close(self):
        self.executor.shutdown()
        self.thread.join(2.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def landed(operator):
    return operator.state == RobotStatus.IDLE and not operator.latest.armed
