# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that go on after a landing do not move the next flight."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from firmware_link import airborne, fly

from kdp_crazyflie_bringup.flight_phase import Phase
from kdp_crazyflie_bringup.motion_commands import NotFlying
from kdp_crazyflie_bringup.safety import CommandRefused


class Planner:
    """Commands at 50 Hz, and remembers why they were not taken."""

    def __init__(self, control):
        self.control, self.reason, self.on = control, "", True

    def __call__(self, now_s):
        if not self.on:
            return
        try:
            self.control.velocity((0.4, 0.0, 0.0), 0.0, None, now_s)
            self.reason = ""
        except CommandRefused as refusal:
            self.reason = str(refusal)


def land_on_low_battery(control, planner):
    battery = control.link.firmware.battery
    battery.set_volts(3.05)
    fly(control, 20.0, planner, until=lambda: control.phases.phase is Phase.GROUND)
    assert control.phases.fault == "low_battery" and control.link.z < 0.05
    battery.set_volts(3.9)


def take_off_again(control, planner):
    fly(control, 0.5, planner)
    assert control.arm(True)[0]
    done, why = control.takeoff(1.0, 0.0, control.link.now_s)
    assert done, why
    fly(control, 12.0, planner, until=lambda: control.phases.phase is Phase.ACTIVE)
    assert control.phases.phase is Phase.ACTIVE


@pytest.fixture
def next_flight():
    """The second flight, while a planner goes on commanding for the goal of the first."""
    control, link, _ = airborne()
    planner = Planner(control)
    fly(control, 0.5, planner)
    assert not planner.reason
    land_on_low_battery(control, planner)
    take_off_again(control, planner)
    return control, link, planner


def test_the_next_flight_hovers_while_the_old_stream_goes_on(next_flight):
    control, link, planner = next_flight
    x = link.state.position[0]
    fly(control, 3.0, planner)
    assert abs(link.state.position[0] - x) < 0.1 and link.z > 0.8
    assert "before the landing" in planner.reason
    assert not control.can_move(link.now_s) and control.phases.phase is Phase.ACTIVE


def test_after_a_pause_commands_are_taken_again(next_flight):
    control, link, planner = next_flight
    fly(control, 0.2, planner)
    planner.on = False
    fly(control, 0.6, planner)
    assert control.can_move(link.now_s)
    planner.on = True
    seen = fly(control, 1.5, planner)
    assert not planner.reason and seen[-1][0] > 0.3


def test_a_stream_that_begins_during_take_off_is_followed():
    """The usual order, a little early: land, take off, send the goal."""
    control, link, _ = airborne()
    planner = Planner(control)
    fly(control, 0.5, planner)
    planner.on = False
    land_on_low_battery(control, planner)
    assert control.arm(True)[0] and control.takeoff(1.0, 0.0, link.now_s)[0]
    fly(control, 1.0, planner)
    planner.on = True
    with pytest.raises(NotFlying, match="taking off"):
        control.velocity((0.1, 0.0, 0.0), 0.0, None, link.now_s)
    seen = fly(control, 6.0, planner)
    assert seen[-1][0] > 0.3 and not planner.reason


def test_hovering_on_a_time_out_is_no_landing():
    control, _, _ = airborne()
    planner = Planner(control)
    fly(control, 0.5, planner)
    planner.on = False
    fly(control, 0.4, planner)
    assert control.phases.phase is Phase.HOLDING
    planner.on = True
    fly(control, 0.5, planner)
    assert control.phases.phase is Phase.ACTIVE and not planner.reason
