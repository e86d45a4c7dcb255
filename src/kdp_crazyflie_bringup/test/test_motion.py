# SPDX-License-Identifier: GPL-3.0-or-later
"""Services and position commands keep the speed limits and the fence, whatever they ask for."""

import math
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from firmware_link import FirmwareLink, airborne, fly, make_control

from kdp_crazyflie_bringup.crazyflie_link import CrazyflieLink
from kdp_crazyflie_bringup.flight_phase import Phase
from kdp_crazyflie_bringup.link_options import LinkOptions
from kdp_crazyflie_bringup.motion import check_landing, motion_time, wrap_angle
from kdp_crazyflie_bringup.motion_commands import NotFlying
from kdp_crazyflie_bringup.safety import CommandRefused, Limits

NS = 1e-9
OVER = 1.2  # the position controller of the firmware overshoots


def on_ground(control):
    return lambda: control.phases.phase is Phase.GROUND


def test_take_off_in_a_nanosecond_keeps_the_vertical_limit():
    link = FirmwareLink()
    control, _ = make_control(link)
    control.arm(True)
    assert control.takeoff(1.9, NS, link.now_s)[0]
    seen = fly(control, 12.0, until=lambda: control.phases.phase is Phase.ACTIVE)
    assert control.phases.phase is Phase.ACTIVE and link.z > 1.7
    assert max(v[2] for v in seen) < 0.5 * OVER


def test_landing_in_a_nanosecond_keeps_the_vertical_limit():
    control, link, _ = airborne(height=1.9)
    assert control.land(NS, link.now_s)[0]
    seen = fly(control, 15.0, until=on_ground(control))
    assert link.z < 0.05 and min(v[2] for v in seen) > -0.5 * OVER


@pytest.mark.parametrize("height", [5.0, 1.2, -1.0, math.nan, math.inf, -math.inf])
def test_a_landing_that_does_not_go_down_is_refused(height):
    control, link, _ = airborne()
    done, why = control.land(2.0, link.now_s, height)
    assert not done and "cannot land at" in why and control.phases.phase is Phase.ACTIVE
    fly(control, 1.0)
    assert 0.9 < link.z < 1.2
    assert control.land(0.0, link.now_s)[0]


def test_landing_from_below_the_origin_is_not_refused():
    check_landing(0.0, -0.05)
    check_landing(0.3, 0.5)
    with pytest.raises(CommandRefused):
        check_landing(0.5, 0.3)


def test_a_motion_of_years_is_refused():
    control, link, _ = airborne()
    assert not control.land(1e9, link.now_s)[0]
    assert not control.go_to((2.5, 0.0, 1.0), 0.0, False, 1e9, link.now_s)[0]
    assert control.phases.phase is Phase.ACTIVE


def test_go_to_straight_up_keeps_the_vertical_limit():
    control, link, _ = airborne()
    assert control.go_to((0.0, 0.0, 0.8), 0.0, True, 0.0, link.now_s)[0]
    seen = fly(control, 6.0)
    assert link.z > 1.7 and max(v[2] for v in seen) < 0.5 * OVER


def test_the_slower_of_both_directions_decides():
    limits = Limits(max_horizontal=0.8, max_vertical=0.5)
    assert motion_time((0, 0, 0), (0.8, 0, 0), 0.0, limits) == pytest.approx(2.2)
    assert motion_time((0, 0, 0), (0.8, 0, 1.0), 0.0, limits) == pytest.approx(4.4)
    assert motion_time((0, 0, 0), (0.8, 0, 1.0), 9.0, limits) == 9.0


def test_position_command_3_m_away_keeps_the_speed_limits_and_arrives():
    control, link, _ = airborne()
    goal = (5.0, -1.0, 1.6)
    seen = fly(control, 9.0, lambda now_s: control.position(goal, 0.0, None, now_s))
    assert max(math.hypot(*v[:2]) for v in seen) < 0.8 * 1.1
    assert max(abs(v[2]) for v in seen) < 0.5 * OVER
    assert math.dist(link.state.position[:2], goal[:2]) < 0.1 and abs(link.z - 1.6) < 0.15
    assert control.limited > 50 and control.refused == 0


def test_position_command_after_another_motion_starts_from_the_drone():
    control, link, _ = airborne()
    fly(control, 2.0, lambda now_s: control.position((4.0, 0.0, 1.0), 0.0, None, now_s))
    fly(control, 3.0, lambda now_s: control.velocity((0.0, 0.6, 0.0), 0.0, None, now_s))
    here = link.state.position
    control.position((4.0, 0.0, 1.0), 0.0, None, link.now_s)
    assert math.dist(link.sent[-1][1:4], here) < 0.05


def test_yaw_beyond_floats_is_refused_and_turns_are_wrapped():
    control, link, _ = airborne()
    with pytest.raises(CommandRefused, match="yaw"):
        control.position((2.0, 0.0, 1.0), 3e38, None, link.now_s)
    assert control.refused == 1
    control.position((2.0, 0.0, 1.0), 7.0, None, link.now_s)
    assert link.sent[-1][4] == pytest.approx(math.degrees(7.0 - 2 * math.pi))
    assert not control.go_to((2.0, 0.0, 1.0), 3e38, False, 0.0, link.now_s)[0]
    assert wrap_angle(math.pi) == -math.pi and wrap_angle(-math.pi) == -math.pi


def test_a_command_that_was_not_sent_does_not_feed_the_watchdog():
    control, link, _ = airborne()
    control.velocity((0.1, 0.0, 0.0), 0.0, None, link.now_s)
    link.send_velocity_world = lambda *_: 0

    def command(now_s):
        if control.phases.phase is Phase.ACTIVE:
            with pytest.raises(NotFlying, match="not be sent"):
                control.velocity((0.1, 0.0, 0.0), 0.0, None, now_s)

    fly(control, 0.4, command)
    assert control.phases.phase is Phase.HOLDING


def test_a_value_that_cannot_be_packed_does_not_end_the_sender():
    reports = []
    link = CrazyflieLink(LinkOptions("udp://nowhere"), lambda _: None, lambda *r: reports.append(r))
    link._cf, link.connected = object(), True

    def overflow(_cf):
        struct.pack("<f", 1e39)

    def bad(_cf):
        struct.pack("<B", "x")

    assert link._send(overflow) == 0 and link._send(bad) == 0
    assert [level for level, _ in reports] == ["error", "error"]
