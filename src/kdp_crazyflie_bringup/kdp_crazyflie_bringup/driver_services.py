# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver's services: what each asks of `FlightControl`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kdp_msgs.srv import Arm, GoTo, Land, Takeoff, Trigger

from kdp_crazyflie_bringup.flight_control import Answer, FlightControl


def _seconds(duration: Any) -> float:
    return float(duration.sec + duration.nanosec * 1e-9)


def _takeoff(control: FlightControl, r: Any) -> Answer:
    return control.takeoff(r.height, _seconds(r.duration), time.monotonic())


def _land(control: FlightControl, r: Any) -> Answer:
    return control.land(_seconds(r.duration), time.monotonic(), r.height)


def _go_to(control: FlightControl, r: Any) -> Answer:
    goal = (r.goal.x, r.goal.y, r.goal.z)
    return control.go_to(goal, r.yaw, r.relative, _seconds(r.duration), time.monotonic())


#: Type and name of each service, and what answers it from (control, request).
SERVICES: tuple[tuple[Any, str, Callable[[FlightControl, Any], Answer]], ...] = (
    (Arm, "arm", lambda control, r: control.arm(r.arm)),
    (Takeoff, "takeoff", _takeoff),
    (Land, "land", _land),
    (GoTo, "go_to", _go_to),
    (Trigger, "emergency", lambda control, _r: control.emergency()),
    (
        Trigger,
        "notify_setpoints_stop",
        lambda control, _r: control.notify_setpoints_stop(time.monotonic()),
    ),
)
