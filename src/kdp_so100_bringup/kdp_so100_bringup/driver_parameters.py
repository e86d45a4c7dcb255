"""Every parameter of the driver: default, range, meaning. Values outside are refused, also when changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor

from kdp_core.exceptions import ConfigError
from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_so100_bringup.arm_bus import BACKENDS
from kdp_so100_bringup.arm_link import LinkOptions
from kdp_so100_bringup.arm_phase import STOPS, Timeouts
from kdp_so100_bringup.calibration import Calibration
from kdp_so100_bringup.safety import GuardLimits, Limits


@dataclass(frozen=True)
class _Declared:
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    live: bool = False  # may be changed while the node runs


_TIMES, _GUARDS = Timeouts(), GuardLimits()
REST_RAD = (0.0, -3.1, 3.0, 0.6, 0.0, 0.0)
_DECLARED = {
    "autostart": _Declared(True, "Configure and activate at start. Activating connects, the torque stays."),
    "port": _Declared("/dev/ttyACM0", "Serial port of the servos."),
    "bus": _Declared("scservo_sdk", f"Who talks to the servos: {' or '.join(BACKENDS)}."),
    "calibration": _Declared("", "Calibration file in lerobot's format; needed."),
    "write_calibration": _Declared(
        False, "Write the file to the servos' EEPROM when they differ, instead of the fault."),
    "frame_id": _Declared("world", "Frame of the base, in joint_states' header."),
    "rate": _Declared(50.0, "Rate of reading and of joint_states, Hz.", 5.0, 100.0),
    "reply_timeout": _Declared(0.012, "Patience with one synchronous read, s.", 0.002, 0.2),
    "reconnect_period": _Declared(1.0, "Pause between attempts, s; 0: do not try again.", 0.0, 60.0),
    "status_rate": _Declared(10.0, "Rate of status, Hz.", 1.0, 50.0),
    "limits_low": _Declared([float(v) for v in LOW_RAD], "Lower joint limits, rad.", live=True),
    "limits_high": _Declared([float(v) for v in HIGH_RAD], "Upper joint limits, rad.", live=True),
    "max_velocity": _Declared(6.0, "Change of a joint's target, rad/s.", 0.05, 20.0, True),
    "max_step": _Declared(0.5, "Farthest a target may lie from its joint, rad.", 0.02, 3.2, True),
    "max_command_age": _Declared(0.5, "Stamped commands older are refused, s.", 0.02, 10.0, True),
    "command_timeout": _Declared(_TIMES.command_s, "Without commands: hold, s.", 0.05, 5.0, True),
    "hold_timeout": _Declared(
        _TIMES.hold_s, "Then, after holding so long: stop as 'stop' says, s; 0: never.", 0.0, 3600.0, True),
    "fault_timeout": _Declared(
        _TIMES.fault_s, "Heat, load, voltage, alarm: hold, then stop after this, s.", 0.0, 60.0, True),
    "state_timeout": _Declared(_TIMES.state_s, "Older states are a fault, s.", 0.05, 2.0, True),
    "stop": _Declared(_TIMES.stop, f"How to stop safely: {', '.join(STOPS)}.", live=True),
    "rest_pose": _Declared(list(REST_RAD), "Where the arm can be without torque, rad."),
    "rest_speed": _Declared(0.6, "Speed of the way there, rad/s.", 0.05, 2.0),
    "max_temperature": _Declared(_GUARDS.max_celsius, "Hotter is a fault, C.", 30.0, 80.0, True),
    "max_load": _Declared(
        _GUARDS.max_load, "Share of the stall torque, all joints but the gripper.", 0.1, 1.0, True),
    "min_voltage": _Declared(_GUARDS.min_volts, "Supply below is a fault, V.", 3.0, 12.0, True),
    "max_voltage": _Declared(_GUARDS.max_volts, "Supply above is a fault, V.", 5.0, 16.0, True),
}  # fmt: skip
LIVE = frozenset(name for name, item in _DECLARED.items() if item.live)


@dataclass(frozen=True)
class Settings:
    """The parameters as the parts of the driver take them."""

    autostart: bool
    frame_id: str
    status_rate: float
    link: LinkOptions
    limits: Limits
    timeouts: Timeouts
    guards: GuardLimits
    rest: tuple[float, ...]
    rest_speed: float


def declare_parameters(node: Any) -> None:
    """Declare all on node; rclpy raises InvalidParameter* for a wrong type or a value out of range."""
    for name, item in _DECLARED.items():
        descriptor = ParameterDescriptor(description=item.description)
        if item.low is not None and item.high is not None:
            bounds = FloatingPointRange(from_value=float(item.low), to_value=float(item.high), step=0.0)
            descriptor.floating_point_range = [bounds]
        node.declare_parameter(name, item.default, descriptor)


def parameter_values(node: Any) -> dict[str, Any]:
    """Return the present values by name."""
    return {name: node.get_parameter(name).value for name in _DECLARED}


def load_calibration(values: dict[str, Any]) -> Calibration:
    """The calibration that the parameters name. Raises ConfigError."""
    if not values["calibration"]:
        raise ConfigError("parameter 'calibration' is empty: expected the file that lerobot-calibrate wrote")
    return Calibration.load(values["calibration"])


def settings_from(values: dict[str, Any], calibration: Calibration | None) -> Settings:
    """Check the values against each other and return them as settings.

    Args:
        values: by parameter name.
        calibration: narrows the joint limits; None before it is known.

    Raises:
        ConfigError: one line that names the parameter.
    """
    low, high = _joints("limits_low", values["limits_low"]), _joints("limits_high", values["limits_high"])
    for joint, a, b in zip(JOINTS, low, high, strict=True):
        if not a < b:
            raise ConfigError(f"limits_low and limits_high: {joint} must grow, got {a:g} and {b:g}")
    if values["bus"] not in BACKENDS:
        raise ConfigError(f"bus must be one of {', '.join(BACKENDS)}, got {values['bus']!r}")
    if values["stop"] not in STOPS:
        raise ConfigError(f"stop must be one of {', '.join(STOPS)}, got {values['stop']!r}")
    if values["min_voltage"] >= values["max_voltage"]:
        raise ConfigError("min_voltage must be below max_voltage")
    if calibration is not None:
        low = tuple(max(a, b) for a, b in zip(low, calibration.low, strict=True))
        high = tuple(min(a, b) for a, b in zip(high, calibration.high, strict=True))
        for joint, a, b in zip(JOINTS, low, high, strict=True):
            if not a < b:
                raise ConfigError(
                    f"limits_low and limits_high: the calibrated range of {joint} leaves nothing between "
                    f"them ({a:g} and {b:g} rad)"
                )
    rest = _joints("rest_pose", values["rest_pose"])
    return Settings(
        autostart=values["autostart"],
        frame_id=values["frame_id"],
        status_rate=values["status_rate"],
        link=LinkOptions(
            backend=values["bus"],
            port=values["port"],
            period_s=1.0 / values["rate"],
            timeout_s=values["reply_timeout"],
            reconnect_s=values["reconnect_period"],
            write_calibration=values["write_calibration"],
        ),
        limits=Limits(
            low,
            high,
            max_velocity=values["max_velocity"],
            max_step=values["max_step"],
            max_command_age_s=values["max_command_age"],
        ),
        timeouts=Timeouts(
            command_s=values["command_timeout"],
            hold_s=values["hold_timeout"],
            fault_s=values["fault_timeout"],
            state_s=values["state_timeout"],
            stop=values["stop"],
        ),
        guards=GuardLimits(
            max_celsius=values["max_temperature"],
            max_load=values["max_load"],
            min_volts=values["min_voltage"],
            max_volts=values["max_voltage"],
        ),
        rest=tuple(min(max(r, a), b) for r, a, b in zip(rest, low, high, strict=True)),
        rest_speed=values["rest_speed"],
    )


def _joints(name: str, value: Sequence[float]) -> tuple[float, ...]:
    if len(value) != len(JOINTS) or not all(abs(v) < 10.0 for v in value):
        raise ConfigError(f"{name} must be {len(JOINTS)} numbers in rad, got {list(value)}")
    return tuple(float(v) for v in value)
