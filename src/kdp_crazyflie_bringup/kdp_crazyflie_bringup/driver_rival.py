# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds another driver of the same robot: two of them would command one drone."""

from __future__ import annotations

import time
from typing import Any

from kdp_msgs.msg import RobotStatus
from rclpy.qos import qos_profile_sensor_data

DISCOVERY_S = 0.5  # until the publishers on this host are known
POLL_S = 0.01


class RivalSearch:
    """Looks for another publisher of the robot's status that is alive and connected.

    Args:
        node: the driver, with its own publisher of `status`.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._born_s = time.monotonic()

    def find(self, wait_s: float) -> str:
        """Return what is wrong, empty if this driver is alone; listens for wait_s if it is not.

        A driver that was killed is known to DDS for some time after. So only one that speaks counts.
        """
        topic = self._node.resolve_topic_name("status")
        while self._node.count_publishers(topic) < 2:
            if time.monotonic() - self._born_s > DISCOVERY_S:
                return ""
            time.sleep(POLL_S)
        heard = self._node.create_subscription(
            RobotStatus, topic, lambda _message: None, qos_profile_sensor_data
        )
        try:
            deadline = time.monotonic() + wait_s
            while time.monotonic() < deadline:
                with heard.handle:
                    taken = heard.handle.take_message(RobotStatus, False)
                if taken is not None and taken[0].state != RobotStatus.DISCONNECTED:
                    return f"another driver publishes {topic}: stop it first, two cannot fly one drone"
                time.sleep(POLL_S)
        finally:
            self._node.destroy_subscription(heard)
        return ""
