# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader of ``crazyflies.yaml``: which robots there are, their links, batteries and firmware parameters.

The layout is that of Crazyswarm2: ``robots``, ``robot_types`` and ``all``; a robot's own values win over its
type's, and those over ``all``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kdp_core.exceptions import ConfigError

ROBOT_KEYS = {"enabled", "uri", "initial_position", "type", "battery", "firmware_params"}
TYPE_KEYS = {"battery", "firmware_params"}


@dataclass(frozen=True)
class RobotConfig:
    """One robot.

    Attributes:
        name: also its namespace.
        uri: link, such as ``radio://0/80/2M/E7E7E7E7E7`` or ``udp://127.0.0.1:19850``.
        enabled: robots that are not enabled are not started.
        initial_position: m, world.
        voltage_low: below it the driver lands, V.
        firmware_params: complete name (``group.name``) to value, written after connecting.
    """

    name: str
    uri: str
    enabled: bool = True
    initial_position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voltage_low: float = 3.2
    firmware_params: dict[str, float] = field(default_factory=dict)


def load_robots(path: str | Path) -> dict[str, RobotConfig]:
    """Return the robots of a file by name.

    Raises:
        ConfigError: one line with the file, the field and what was expected.
    """
    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    try:
        top = _mapping(document, "the file", {"robots", "robot_types", "all", "fileversion"})
        types = _mapping(top.get("robot_types"), "robot_types")
        shared = _mapping(top.get("all"), "all", TYPE_KEYS)
        robots = _mapping(top.get("robots"), "robots")
        if not robots:
            raise ConfigError("robots: expected at least one robot")
        return {str(name): _robot(str(name), entry, types, shared) for name, entry in robots.items()}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_robot(path: str | Path, name: str) -> RobotConfig:
    """Return one robot of a file.

    Raises:
        ConfigError: also if it is not there or not enabled.
    """
    robots = load_robots(path)
    if name not in robots:
        raise ConfigError(f"{path}: robots: no robot {name!r}, there are {', '.join(sorted(robots))}")
    if not robots[name].enabled:
        raise ConfigError(f"{path}: robots.{name}.enabled: is false")
    return robots[name]


def _robot(name: str, entry: Any, types: dict[str, Any], shared: dict[str, Any]) -> RobotConfig:
    where = f"robots.{name}"
    own = _mapping(entry, where, ROBOT_KEYS)
    kind: dict[str, Any] = {}
    if "type" in own:
        if own["type"] not in types:
            raise ConfigError(f"{where}.type: no robot type {own['type']!r}, expected one of {sorted(types)}")
        kind = _mapping(types[own["type"]], f"robot_types.{own['type']}", TYPE_KEYS)
    uri = own.get("uri")
    if not isinstance(uri, str) or "://" not in uri:
        raise ConfigError(f"{where}.uri: expected a link such as radio://0/80/2M/E7E7E7E7E7, got {uri!r}")
    if not isinstance(own.get("enabled", True), bool):
        raise ConfigError(f"{where}.enabled: expected true or false, got {own['enabled']!r}")
    position = own.get("initial_position", [0.0, 0.0, 0.0])
    if not isinstance(position, list) or len(position) != 3:
        raise ConfigError(f"{where}.initial_position: expected [x, y, z], got {position!r}")
    x, y, z = (_number(value, f"{where}.initial_position") for value in position)
    battery: dict[str, Any] = {}
    params: dict[str, float] = {}
    for level, owner in ((shared, "all"), (kind, f"robot_types.{own.get('type')}"), (own, where)):
        battery |= _mapping(level.get("battery"), f"{owner}.battery", {"voltage_low"})
        groups = _mapping(level.get("firmware_params"), f"{owner}.firmware_params")
        for group, values in groups.items():
            place = f"{owner}.firmware_params.{group}"
            params |= {
                f"{group}.{key}": _number(v, f"{place}.{key}") for key, v in _mapping(values, place).items()
            }
    low = _number(battery.get("voltage_low", 3.2), f"{where}.battery.voltage_low")
    return RobotConfig(name, uri, own.get("enabled", True), (x, y, z), low, params)


def _mapping(value: Any, where: str, allowed: set[str] | None = None) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a mapping, got {type(value).__name__}")
    unknown = set(map(str, value)) - allowed if allowed is not None else set()
    if unknown and allowed is not None:
        raise ConfigError(f"{where}: unknown key {min(unknown)!r}, expected some of {sorted(allowed)}")
    return value


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: expected a number, got {value!r}")
    return value
