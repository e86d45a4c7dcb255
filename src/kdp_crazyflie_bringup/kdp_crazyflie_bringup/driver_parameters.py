# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parameter of the driver: default, range, meaning. Values outside are refused, also when changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from kdp_core.exceptions import ConfigError
from kdp_crazyflie_bringup.config import load_robot
from kdp_crazyflie_bringup.flight_phase import Timeouts
from kdp_crazyflie_bringup.link_options import LinkOptions
from kdp_crazyflie_bringup.safety import Limits


@dataclass(frozen=True)
class _Declared:
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    live: bool = False  # may be changed while the node runs


_LIMITS, _TIMES = Limits(), Timeouts()
_DECLARED = {
    "autostart": _Declared(True, "Configure and activate at start. Activating connects and never arms."),
    "uri": _Declared("udp://127.0.0.1:19850", "Link of the Crazyflie, such as radio://0/80/2M/E7E7E7E7E7."),
    "crazyflies_file": _Declared("", "File with the robots; if given, uri, battery and firmware parameters "
                                 "of the robot named like this node's namespace come from it."),
    "world_frame": _Declared("world", "Frame of odometry and of commands; others are refused."),
    "state_period_ms": _Declared(20, "Period of the state packets, ms, a multiple of 10.", 10, 100),
    "connect_timeout": _Declared(5.0, "An attempt to connect is given up after this, s.", 0.5, 60.0),
    "reconnect_period": _Declared(1.0, "Pause between attempts, s; 0: one attempt.", 0.0, 60.0),
    "status_rate": _Declared(10.0, "Rate of status, Hz.", 1.0, 50.0),
    "max_horizontal": _Declared(_LIMITS.max_horizontal, "Horizontal speed limit, m/s.", 0.05, 3.0, True),
    "max_vertical": _Declared(_LIMITS.max_vertical, "Vertical speed limit, m/s.", 0.05, 2.0, True),
    "max_yaw_rate": _Declared(_LIMITS.max_yaw_rate, "Yaw rate limit, rad/s.", 0.0, 10.0, True),
    "max_acceleration": _Declared(
        _LIMITS.max_acceleration, "Change of the velocity command per second, m/s^2.", 0.1, 100.0, True),
    "fence_min": _Declared(list(_LIMITS.fence_min), "Lower corner of the geofence, m.", live=True),
    "fence_max": _Declared(list(_LIMITS.fence_max), "Upper corner of the geofence, m.", live=True),
    "fence_margin": _Declared(
        _LIMITS.fence_margin, "Outside the fence by more than this: hover, then land, m.", 0.0, 2.0, True),
    "fence_slowdown": _Declared(
        _LIMITS.fence_slowdown, "Outward speed per metre of distance to the fence, 1/s.", 0.1, 20.0, True),
    "min_height": _Declared(_LIMITS.min_height, "No command goes below this height, m.", 0.0, 2.0, True),
    "max_command_age": _Declared(
        _LIMITS.max_command_age_s, "Stamped commands older are refused, s.", 0.02, 10.0, True),
    "command_timeout": _Declared(_TIMES.command_s, "Without commands: hover, s.", 0.05, 1.0, True),
    "hover_timeout": _Declared(_TIMES.hover_s, "Then, after hovering so long: land, s.", 0.0, 60.0, True),
    "state_timeout": _Declared(_TIMES.state_s, "Older states are a fault, s.", 0.05, 0.4, True),
    "battery_low": _Declared(_TIMES.battery_low_v, "Below this voltage for 0.5 s: land, V.", 2.8, 4.2, True),
}  # fmt: skip
LIVE = frozenset(name for name, item in _DECLARED.items() if item.live)


@dataclass(frozen=True)
class Settings:
    """The parameters as the parts of the driver take them."""

    autostart: bool
    world_frame: str
    status_rate: float
    link: LinkOptions
    limits: Limits
    timeouts: Timeouts


def declare_parameters(node: Any) -> None:
    """Declare all on node; rclpy raises InvalidParameter* for a wrong type or a value out of range."""
    for name, item in _DECLARED.items():
        descriptor = ParameterDescriptor(description=item.description)
        if item.low is not None and item.high is not None:
            if isinstance(item.default, int):
                span = IntegerRange(from_value=int(item.low), to_value=int(item.high), step=0)
                descriptor.integer_range = [span]
            else:
                bounds = FloatingPointRange(from_value=float(item.low), to_value=float(item.high), step=0.0)
                descriptor.floating_point_range = [bounds]
        node.declare_parameter(name, item.default, descriptor)


def parameter_values(node: Any) -> dict[str, Any]:
    """Return the present values by name."""
    return {name: node.get_parameter(name).value for name in _DECLARED}


def settings_from(values: dict[str, Any], robot: str) -> Settings:
    """Check the values against each other and return them as settings.

    Args:
        values: by parameter name. robot: the robot's name in `crazyflies_file`.

    Raises:
        ConfigError: one line that names the parameter.
    """
    low, high = _corner("fence_min", values["fence_min"]), _corner("fence_max", values["fence_max"])
    for axis, a, b in zip("xyz", low, high, strict=True):
        if not a < b:
            raise ConfigError(
                f"fence_min and fence_max: {axis} must grow from min to max, got {a:g} and {b:g}"
            )
    if values["min_height"] >= high[2]:
        raise ConfigError(
            f"min_height must be below the top of the fence, {high[2]:g} m, got {values['min_height']:g}"
        )
    if values["state_period_ms"] % 10:
        raise ConfigError(f"state_period_ms must be a multiple of 10, got {values['state_period_ms']}")
    uri, battery_low, firmware_params = values["uri"], values["battery_low"], {}
    if values["crazyflies_file"]:
        config = load_robot(values["crazyflies_file"], robot)
        uri, battery_low, firmware_params = config.uri, config.voltage_low, config.firmware_params
    if "://" not in uri:
        raise ConfigError(f"uri must be a link such as radio://0/80/2M/E7E7E7E7E7, got {uri!r}")
    return Settings(
        autostart=values["autostart"],
        world_frame=values["world_frame"],
        status_rate=values["status_rate"],
        link=LinkOptions(
            uri,
            values["connect_timeout"],
            values["reconnect_period"],
            values["state_period_ms"],
            firmware_params,
        ),
        limits=Limits(
            max_horizontal=values["max_horizontal"],
            max_vertical=values["max_vertical"],
            max_yaw_rate=values["max_yaw_rate"],
            max_acceleration=values["max_acceleration"],
            fence_min=low,
            fence_max=high,
            fence_margin=values["fence_margin"],
            fence_slowdown=values["fence_slowdown"],
            min_height=values["min_height"],
            max_command_age_s=values["max_command_age"],
        ),
        timeouts=Timeouts(
            command_s=values["command_timeout"],
            hover_s=values["hover_timeout"],
            state_s=values["state_timeout"],
            battery_low_v=battery_low,
        ),
    )


def _corner(name: str, value: Sequence[float]) -> tuple[float, float, float]:
    if len(value) != 3 or not all(abs(v) < 1e6 for v in value):
        raise ConfigError(f"{name} must be three finite numbers, x, y, z in m, got {list(value)}")
    return float(value[0]), float(value[1]), float(value[2])
