# SPDX-License-Identifier: GPL-3.0-or-later
"""NaN in the planner's odometry in flight: simulator, driver and planner as real processes."""

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from driver_graph import DOMAIN, landed
from geometry_msgs.msg import PoseStamped
from kdp_msgs.msg import Obstacles, RobotStatus, VelocityWorld
from nav_msgs.msg import Odometry
from processes import process, wait_until
from rclpy.qos import DurabilityPolicy, QoSProfile

from kdp_core.shipped import shipped_artifact


class Relay:
    """Stands between driver and planner, and spoils one number when told to."""

    def __init__(self, node):
        self.poison, self.spoiled, self.commands = False, [], []
        self.publisher = node.create_publisher(Odometry, "odom_relayed", 1)
        node.create_subscription(Odometry, "odom", self._take, 1)
        node.create_subscription(VelocityWorld, "cmd_velocity_world", self._command, 50)

    def _take(self, message):
        if self.poison:
            message.pose.pose.position.y = math.nan
            self.spoiled.append(_stamp(message))
        self.publisher.publish(message)

    def _command(self, message):
        self.commands.append((_stamp(message), message.vel.x, message.vel.y, message.vel.z))


def test_no_command_goes_out_and_the_drone_hovers_then_lands(flying):
    operator, side = flying
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    operator.node.create_publisher(Obstacles, "obstacles", latched).publish(_no_obstacles())
    goals = operator.node.create_publisher(PoseStamped, "goal_pose", 1)
    relay = Relay(operator.node)
    arguments = ["--ros-args", "-r", "__ns:=/cf1", "-r", "odom:=odom_relayed"]
    arguments += ["-p", f"artifact:={shipped_artifact('crazyflie')}"]
    environment = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with process("kdp_planner_ros.planner_node", *arguments, env=environment):
        wait_until(lambda: goals.get_subscription_count() > 0, 20.0, "planner")
        goal = PoseStamped()
        goal.header.frame_id = "world"
        goal.pose.position.x, goal.pose.position.z = 5.0, 1.0

        def moving():
            if not relay.commands:
                goals.publish(goal)
            return side.truth()["velocity"][0] > 0.3

        wait_until(moving, 10.0, "flight under way")
        relay.poison = True
        wait_until(lambda: operator.state == RobotStatus.HOLDING, 3.0, "hovering")
        assert operator.latest.fault == "command_timeout"
        wait_until(lambda: landed(operator), 15.0, "landed and disarmed")
    assert len(relay.spoiled) > 50  # states went on arriving
    # A command carries the stamp of the state it answers.
    assert relay.commands and max(c[0] for c in relay.commands) < relay.spoiled[0]
    assert all(math.isfinite(v) for c in relay.commands for v in c[1:])
    truth = side.truth()
    assert truth["position"][2] < 0.05 and not truth["locked"] and not truth["outside"]


def _stamp(message):
    return message.header.stamp.sec, message.header.stamp.nanosec


def _no_obstacles():
    message = Obstacles()
    message.header.frame_id = "world"
    return message
