"""Messages of the driver, filled from its plain data."""

from __future__ import annotations

import math
from typing import Any

from kdp_msgs.msg import RobotStatus
from sensor_msgs.msg import JointState

from kdp_core.sim.so100_geometry import JOINTS
from kdp_so100_bringup.arm_control import ArmControl
from kdp_so100_bringup.arm_link import ArmState
from kdp_so100_bringup.arm_phase import Phase

_PHASES = {
    Phase.OFF: RobotStatus.IDLE,
    Phase.READY: RobotStatus.ARMED,
    Phase.ACTIVE: RobotStatus.ACTIVE,
    Phase.HOLDING: RobotStatus.HOLDING,
    Phase.LOWERING: RobotStatus.LANDING,
}
_MEANING = {
    "link_lost": "the port is gone; the servos hold, trying to connect",
    "port_busy": "another program has the port; trying to connect",
    "state_stale": "no state is read",
    "servo_silent": "a servo does not answer; the others hold",
    "torque_lost": "servos lost their torque by themselves; the others hold, then stop; call torque to go on",
    "torque_not_off": "not every servo has confirmed that its torque is off: trying again",
    "checksum_errors": "too many damaged answers; the servos hold",
    "wrong_servo": "a servo is not what an SO-100 has",
    "calibration_mismatch": "servos and calibration file differ; nothing moves",
    "over_temperature": "a servo is too hot: holding, then stopping",
    "overload": "a servo carries too much: holding, then stopping",
    "low_voltage": "the supply is too low: holding, then stopping",
    "high_voltage": "the supply is too high: holding, then stopping",
    "servo_alarm": "a servo reports an alarm: holding, then stopping",
    "command_timeout": "commands stopped: holding, then stopping",
}
NOT_MOVING = frozenset(_MEANING) - {"command_timeout"}


def joint_state(state: ArmState, stamp: Any, frame_id: str) -> JointState:
    """Return the joint state; effort is the load as a share of the stall torque."""
    message = JointState()
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.name = list(JOINTS)
    message.position = list(state.joints)
    message.velocity = list(state.velocity)
    message.effort = list(state.load)
    return message


def robot_status(control: ArmControl | None, now_s: float) -> RobotStatus:
    """Return the status, without its header; control is None while the node is not active."""
    nan = math.nan
    message = RobotStatus(battery_v=nan, state_age_s=nan, command_age_s=nan, state=RobotStatus.DISCONNECTED)
    if control is None:
        return message
    link = control.link
    message.commands_refused, message.commands_limited = control.refused, control.limited
    if control.command_s is not None:
        message.command_age_s = now_s - control.command_s
    message.fault, detail = control.fault()
    meaning = _MEANING.get(message.fault, "")
    message.message = f"{meaning}: {detail}" if meaning and detail else meaning
    state = link.state
    if state is not None:
        message.state_age_s = link.state_age_s()
        message.battery_v = min(state.volts, default=nan)
    message.armed = control.phases.powered
    message.can_move = control.can_move
    if not link.connected and not link.was_connected and message.fault in ("", "link_lost"):
        message.state = RobotStatus.CONNECTING
    elif message.fault in NOT_MOVING and control.phases.phase is not Phase.LOWERING:
        message.state = RobotStatus.FAULT
    else:
        message.state = _PHASES[control.phases.phase]
    return message
