"""Reader of crazyflies.yaml: merging, and one clear line for each mistake."""

from pathlib import Path

import pytest

from kdp_core.exceptions import ConfigError
from kdp_crazyflie_bringup.config import load_robot, load_robots

SHIPPED = Path(__file__).parents[1] / "config" / "crazyflies.yaml"


def test_shipped_file_has_cf1():
    robot = load_robot(SHIPPED, "cf1")
    assert robot.uri == "udp://127.0.0.1:19850" and robot.firmware_params["stabilizer.estimator"] == 2


def test_own_values_win_over_type_and_all(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "robots:\n"
        "  a: {uri: 'radio://0/80', type: t, firmware_params: {g: {x: 1}}}\n"
        "  b: {uri: 'radio://0/81', enabled: false, battery: {voltage_low: 3.4}}\n"
        "robot_types: {t: {battery: {voltage_low: 3.3}, firmware_params: {g: {x: 2, y: 2}}}}\n"
        "all: {battery: {voltage_low: 3.1}, firmware_params: {g: {x: 3, y: 3, z: 3}}}\n"
    )
    robots = load_robots(path)
    assert robots["a"].voltage_low == 3.3 and robots["b"].voltage_low == 3.4
    assert robots["a"].firmware_params == {"g.x": 1, "g.y": 2, "g.z": 3}
    with pytest.raises(ConfigError, match=r"b\.enabled"):
        load_robot(path, "b")
    with pytest.raises(ConfigError, match="no robot 'c', there are a, b"):
        load_robot(path, "c")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "robots"),
        ("[1, 2]", "the file"),
        ("robots: {a: {uri: nonsense}}", "robots.a.uri"),
        ("robots: {a: {}}", "robots.a.uri"),
        ("robots: {a: {uri: 'udp://x:1', type: t}}", "robots.a.type"),
        ("robots: {a: {uri: 'udp://x:1', speed: 3}}", "unknown key 'speed'"),
        ("robots: {a: {uri: 'udp://x:1', enabled: maybe}}", "robots.a.enabled"),
        ("robots: {a: {uri: 'udp://x:1', initial_position: [1, 2]}}", "robots.a.initial_position"),
        ("robots: {a: {uri: 'udp://x:1', battery: {voltage_low: low}}}", "robots.a.battery.voltage_low"),
        ("robots: {a: {uri: 'udp://x:1', firmware_params: {g: 3}}}", "robots.a.firmware_params.g"),
        ("robots: [", "cannot be read"),
    ],
)
def test_each_mistake_is_one_line_with_file_and_field(tmp_path, text, field):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_robots(path)
    message = str(caught.value)
    assert str(path) in message and field in message and "\n" not in message
