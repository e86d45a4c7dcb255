"""What the driver does by itself, with a clock that the test turns."""

from dataclasses import replace

import pytest

from kdp_crazyflie_bringup.flight_phase import Facts, FlightPhases, Order, Phase, Timeouts

GOOD = Facts(state_age_s=0.02, can_fly=True, height=1.0, battery_v=3.9, outside=False)


@pytest.fixture
def flying():
    """A flight that took off at 0 s and gets its first command at 3 s."""
    phases = FlightPhases(Timeouts())
    phases.took_off(0.0, 2.0)
    assert phases.update(1.0, GOOD) is Order.NOTHING and phases.phase is Phase.TAKING_OFF
    assert not phases.takes_commands
    assert phases.update(2.1, GOOD) is Order.NOTHING and phases.phase is Phase.ACTIVE
    phases.commanded(3.0)
    return phases


def test_after_takeoff_it_waits_for_commands_without_limit():
    phases = FlightPhases(Timeouts())
    phases.took_off(0.0, 2.0)
    assert phases.update(2.1, GOOD) is Order.NOTHING
    assert phases.update(100.0, GOOD) is Order.NOTHING and phases.phase is Phase.ACTIVE


def test_commands_stop_then_hover_then_land_then_disarm(flying):
    assert flying.update(3.14, GOOD) is Order.NOTHING
    assert flying.update(3.16, GOOD) is Order.HOVER and flying.fault == "command_timeout"
    assert flying.update(5.15, GOOD) is Order.HOVER
    assert flying.update(5.17, GOOD) is Order.LAND
    flying.landing(5.17, 2.0)
    assert flying.update(6.0, replace(GOOD, height=0.05)) is Order.NOTHING
    assert flying.update(7.3, GOOD) is Order.NOTHING  # time is over, but it is still up
    assert flying.update(7.5, replace(GOOD, height=0.05)) is Order.DISARM
    assert flying.update(7.6, replace(GOOD, height=0.0, can_fly=False)) is Order.NOTHING
    assert flying.phase is Phase.GROUND


def test_a_new_command_ends_the_hover(flying):
    flying.update(3.5, GOOD)
    assert flying.takes_commands
    flying.commanded(3.6)
    assert flying.update(3.7, GOOD) is Order.NOTHING and flying.phase is Phase.ACTIVE and not flying.fault


def test_low_battery_must_last_and_then_lands(flying):
    low = replace(GOOD, battery_v=3.1)
    for i in range(12):
        flying.commanded(3.0 + 0.04 * i)
        assert flying.update(3.0 + 0.04 * i, low) is Order.NOTHING
    flying.commanded(3.5)
    assert flying.update(3.5, low) is Order.LAND and flying.fault == "low_battery"


def test_a_short_sag_and_an_unknown_voltage_do_not_land(flying):
    for i in range(100):
        now = 3.0 + 0.04 * i
        flying.commanded(now)
        volts = 3.1 if i % 10 else 3.3
        assert flying.update(now, replace(GOOD, battery_v=volts)) is Order.NOTHING
        assert flying.update(now, replace(GOOD, battery_v=float("nan"))) is Order.NOTHING


def test_stale_state_hovers_and_then_lands(flying):
    stale = replace(GOOD, state_age_s=0.31)
    flying.commanded(3.1)
    assert flying.update(3.1, stale) is Order.HOVER and flying.fault == "state_stale"
    assert flying.update(5.2, replace(GOOD, state_age_s=2.4)) is Order.LAND


def test_stale_state_leaves_the_high_level_commander_alone_at_first():
    phases = FlightPhases(Timeouts())
    phases.took_off(0.0, 2.0)
    stale = replace(GOOD, state_age_s=0.5)
    assert phases.update(2.5, stale) is Order.NOTHING and phases.fault == "state_stale"
    assert phases.update(3.0, GOOD) is Order.NOTHING and not phases.fault
    assert phases.update(4.0, stale) is Order.NOTHING
    assert phases.update(6.1, stale) is Order.LAND


def test_outside_the_fence_commands_are_refused_and_it_lands(flying):
    assert flying.update(3.1, replace(GOOD, outside=True)) is Order.HOVER and flying.fault == "geofence"
    assert not flying.takes_commands
    assert flying.update(5.2, replace(GOOD, outside=True)) is Order.LAND


def test_disarmed_in_flight_is_ground(flying):
    flying.update(3.1, replace(GOOD, can_fly=False))
    assert flying.phase is Phase.GROUND


def test_high_level_commander_needs_no_commands(flying):
    flying.update(3.5, GOOD)
    flying.handed_over()
    assert flying.update(60.0, GOOD) is Order.NOTHING and flying.phase is Phase.ACTIVE


def test_a_landing_that_does_not_come_down_is_sent_again(flying):
    flying.landing(4.0, 2.0)
    assert flying.update(7.9, GOOD) is Order.NOTHING
    assert flying.update(8.1, GOOD) is Order.LAND


def test_landing_without_state_ends_by_time(flying):
    flying.landing(4.0, 2.0)
    stale = replace(GOOD, state_age_s=2.0)
    assert flying.update(6.5, stale) is Order.NOTHING
    assert flying.update(7.1, stale) is Order.DISARM
