# SPDX-License-Identifier: GPL-3.0-or-later
"""ROS side of one operator: arm, take off, fly to a goal, land (see `kdp_planner_ros.operator_client`)."""

from __future__ import annotations

from collections.abc import Callable

from builtin_interfaces.msg import Duration
from kdp_msgs.action import FlyTo
from kdp_msgs.srv import Arm, Land, Takeoff
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters

from kdp_core.exceptions import KdpError
from kdp_planner_ros.latency import LatencyLog
from kdp_planner_ros.operator_client import OperatorClient


class FlightClient(OperatorClient):
    """The operator of one drone."""

    def __init__(
        self, namespace: str, latency: LatencyLog, check: Callable[[], None], keep_plans: bool
    ) -> None:
        """`check` may raise while waiting; `keep_plans` subscribes to all K candidates, at 5 Hz."""
        super().__init__("flight_client", namespace, (FlyTo, "fly_to"), latency, check, keep_plans)
        self._arm = self.node.create_client(Arm, "arm")
        self._takeoff = self.node.create_client(Takeoff, "takeoff")
        self._land = self.node.create_client(Land, "land")
        self._world = self.node.create_client(SetParameters, "obstacle_server/set_parameters")

    def parts(self) -> dict[str, bool]:
        """What must be there before the first flight."""
        clients = {
            "arm": self._arm,
            "takeoff": self._takeoff,
            "land": self._land,
            "obstacle_server": self._world,
        }
        return {name: client.service_is_ready() for name, client in clients.items()} | super().parts()

    def set_world(self, seed: int, poles: int) -> None:
        """Give the obstacle server another world."""
        integer = ParameterType.PARAMETER_INTEGER
        request = SetParameters.Request(
            parameters=[
                Parameter(name=name, value=ParameterValue(type=integer, integer_value=value))
                for name, value in (("seed", seed), ("poles", poles))
            ]
        )
        for result in self.call("obstacle_server", self._world.call_async(request)).results:
            if not result.successful:
                raise KdpError(f"obstacle_server refused the world: {result.reason}")

    def arm(self, arm: bool = True) -> None:
        """Arm or disarm."""
        self.answered("arm", self._arm.call_async(Arm.Request(arm=arm)))

    def takeoff(self, height_m: float, duration_s: float) -> None:
        """Start to take off; returns when the driver has accepted."""
        request = Takeoff.Request(height=height_m, duration=_duration(duration_s))
        self.answered("takeoff", self._takeoff.call_async(request))

    def land(self, duration_s: float, height_m: float = 0.0) -> None:
        """Start to land; returns when the driver has accepted."""
        request = Land.Request(height=height_m, duration=_duration(duration_s))
        self.answered("land", self._land.call_async(request))


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(sec=whole, nanosec=round((seconds - whole) * 1e9))
