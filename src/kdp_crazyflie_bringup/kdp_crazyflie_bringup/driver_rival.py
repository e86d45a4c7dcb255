# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds another driver of the same robot: two of them would command one drone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from kdp_msgs.msg import RobotStatus
from rclpy.qos import qos_profile_sensor_data

DISCOVERY_S = 0.5  # until the publishers on this host are known, unless the machine is busy
YOUNG_S = 10.0  # a driver that is as young gives way also when it hears of the other late
POLL_S = 0.01


class RivalSearch:
    """Listens to the robot's status for another driver that is alive and active.

    Args:
        node: the driver, with its own publisher of `status`.
        heard: called when another one is heard later than by `find`.
    """

    def __init__(self, node: Any, heard: Callable[[], None]) -> None:
        self._node, self._heard = node, heard
        self._born_s = time.monotonic()
        self._own: deque[tuple[int, int]] = deque(maxlen=50)
        self.topic = node.resolve_topic_name("status")
        self._listener = node.create_subscription(
            RobotStatus, self.topic, self._on_status, qos_profile_sensor_data
        )

    @property
    def young(self) -> bool:
        """This driver has only just come."""
        return time.monotonic() - self._born_s < YOUNG_S

    def own(self, message: RobotStatus) -> None:
        """Remember a status that this driver is about to publish."""
        self._own.append((message.header.stamp.sec, message.header.stamp.nanosec))

    def find(self, wait_s: float) -> bool:
        """Return whether there is another; to be called from the executor, listens for wait_s if need be.

        A driver that was killed is known to DDS for some time after. So only one that speaks counts.
        """
        while self._node.count_publishers(self.topic) < 2:
            if time.monotonic() - self._born_s > DISCOVERY_S:
                return False
            time.sleep(POLL_S)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            with self._listener.handle:
                taken = self._listener.handle.take_message(RobotStatus, False)
            if taken is not None and self._foreign(taken[0]):
                return True
            time.sleep(POLL_S)
        return False

    def _foreign(self, message: RobotStatus) -> bool:
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        return stamp not in self._own and message.state != RobotStatus.DISCONNECTED

    def _on_status(self, message: RobotStatus) -> None:
        if self._foreign(message):
            self._heard()
