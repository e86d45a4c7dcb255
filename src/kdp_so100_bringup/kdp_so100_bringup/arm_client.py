"""ROS side of one operator of the arm (see `kdp_planner_ros.operator_client`)."""

from __future__ import annotations

from collections.abc import Callable

from kdp_msgs.action import PickPlace
from kdp_msgs.msg import RobotStatus
from kdp_msgs.srv import Arm, Trigger

from kdp_planner_ros.latency import LatencyLog
from kdp_planner_ros.operator_client import OperatorClient


class ArmClient(OperatorClient):
    """Switches the torque, sends goals, lowers the arm."""

    def __init__(
        self, namespace: str, latency: LatencyLog, check: Callable[[], None], keep_plans: bool
    ) -> None:
        """`check` may raise while waiting; `keep_plans` subscribes to all K candidates, at 5 Hz."""
        super().__init__("arm_client", namespace, (PickPlace, "pick_place"), latency, check, keep_plans)
        self._torque = self.node.create_client(Arm, "torque")
        self._rest = self.node.create_client(Trigger, "rest")

    def parts(self) -> dict[str, bool]:
        """What must be there before the first goal."""
        clients = {"torque": self._torque, "rest": self._rest}
        return {name: client.service_is_ready() for name, client in clients.items()} | super().parts()

    @property
    def can_move(self) -> bool:
        """Whether the driver would execute a command now."""
        return self.status is not None and self.status.can_move

    @property
    def off(self) -> bool:
        """Whether the torque is off."""
        return self.status is not None and self.status.state == RobotStatus.IDLE

    def torque(self, on: bool = True) -> None:
        """Switch the torque. KdpError when refused."""
        self.answered("torque", self._torque.call_async(Arm.Request(arm=on)))

    def rest(self) -> None:
        """Begin to lower the arm."""
        self.answered("rest", self._rest.call_async(Trigger.Request()))
