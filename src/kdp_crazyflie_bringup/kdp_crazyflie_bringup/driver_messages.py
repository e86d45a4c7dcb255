# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the driver, filled from its plain data."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import PoseStamped
from kdp_msgs.msg import RobotStatus
from nav_msgs.msg import Odometry

from kdp_crazyflie_bringup.drone_state import DroneState
from kdp_crazyflie_bringup.firmware_supervisor import Info
from kdp_crazyflie_bringup.flight_control import FlightControl
from kdp_crazyflie_bringup.flight_phase import Phase

_PHASES = {
    Phase.TAKING_OFF: RobotStatus.TAKING_OFF,
    Phase.ACTIVE: RobotStatus.ACTIVE,
    Phase.HOLDING: RobotStatus.HOLDING,
    Phase.LANDING: RobotStatus.LANDING,
}
_MEANING = {
    "link_lost": "the link to the Crazyflie is down",
    "state_stale": "no state packets arrive",
    "locked": "the firmware is locked: reboot the Crazyflie",
    "crashed": "the firmware reports a crash",
    "low_battery": "battery is low: landing",
    "geofence": "outside the geofence: hovering, then landing",
    "command_timeout": "commands stopped: hovering, then landing",
}


def odometry(state: DroneState, stamp: Any, world: str, child: str) -> Odometry:
    """Return the odometry of a state; the twist is in the child frame, as nav_msgs wants."""
    message = Odometry(child_frame_id=child)
    message.header.stamp, message.header.frame_id = stamp, world
    _fill_pose(message.pose.pose, state)
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    linear.x, linear.y, linear.z = state.velocity_body
    angular.x, angular.y, angular.z = state.body_rates
    return message


def pose(state: DroneState, stamp: Any, world: str) -> PoseStamped:
    """Return the pose of a state."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = stamp, world
    _fill_pose(message.pose, state)
    return message


def _fill_pose(pose: Any, state: DroneState) -> None:
    pose.position.x, pose.position.y, pose.position.z = state.position
    orientation = pose.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = state.quaternion


def robot_status(control: FlightControl | None, now_s: float) -> RobotStatus:
    """Return the status, without its header; control is None while the node is not active."""
    nan = math.nan
    message = RobotStatus(battery_v=nan, state_age_s=nan, command_age_s=nan, state=RobotStatus.DISCONNECTED)
    if control is None:
        return message
    message.commands_refused, message.commands_limited = control.refused, control.limited
    if control.command_s is not None:
        message.command_age_s = now_s - control.command_s
    message.fault = control.fault()
    message.message = _MEANING.get(message.fault, "")
    state = control.link.state
    if not control.link.connected and not control.link.was_connected:
        message.state = RobotStatus.CONNECTING
        return message
    if state is not None:
        message.battery_v, message.state_age_s = state.battery_v, control.link.state_age_s()
        message.armed = Info.IS_ARMED in state.info
    if message.fault in ("link_lost", "state_stale"):
        message.state = RobotStatus.FAULT
    elif message.fault in ("locked", "crashed"):
        message.state = RobotStatus.LOCKED
    elif control.phases.phase is Phase.GROUND:
        message.state = RobotStatus.ARMED if message.armed else RobotStatus.IDLE
    else:
        message.state = _PHASES[control.phases.phase]
    message.can_move = control.can_move(now_s)
    return message
