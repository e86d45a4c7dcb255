"""What the driver does by itself, by the clock of the test."""

import pytest

from kdp_so100_bringup.arm_phase import ArmPhases, Order, Phase, Timeouts


@pytest.fixture
def phases():
    phases = ArmPhases(Timeouts(command_s=0.5, hold_s=10.0, fault_s=2.0))
    phases.torque(True)
    return phases


def test_it_starts_without_torque_and_takes_nothing():
    phases = ArmPhases(Timeouts())
    assert phases.phase is Phase.OFF and not phases.takes_commands
    assert phases.update(1e6, "over_temperature") is Order.NONE


def test_commands_stop_then_hold_then_stop_safely(phases):
    phases.command(100.0)
    assert phases.update(100.5, "") is Order.NONE and phases.phase is Phase.ACTIVE
    phases.update(100.51, "")
    assert phases.phase is Phase.HOLDING and phases.fault == "command_timeout" and phases.takes_commands
    assert phases.update(110.5, "") is Order.NONE
    assert phases.update(110.52, "") is Order.LOWER


def test_a_command_ends_the_hold(phases):
    phases.command(100.0)
    phases.update(101.0, "")
    phases.command(101.2)
    assert phases.phase is Phase.ACTIVE and phases.fault == ""
    assert phases.update(101.6, "") is Order.NONE


def test_ready_waits_for_ever(phases):
    assert phases.update(1e6, "") is Order.NONE and phases.phase is Phase.READY


@pytest.mark.parametrize(
    ("stop", "order"), [("rest", Order.LOWER), ("torque_off", Order.TORQUE_OFF), ("hold", Order.NONE)]
)
def test_how_it_stops_is_configured(stop, order):
    phases = ArmPhases(Timeouts(stop=stop))
    phases.torque(True)
    phases.command(0.0)
    phases.update(1.0, "")
    assert phases.update(100.0, "") is order


def test_a_hold_of_zero_seconds_is_for_ever():
    phases = ArmPhases(Timeouts(hold_s=0.0))
    phases.torque(True)
    phases.command(0.0)
    phases.update(1.0, "")
    assert phases.update(1e6, "") is Order.NONE


def test_a_servo_fault_holds_here_then_stops(phases):
    phases.command(0.0)
    assert phases.update(0.1, "overload") is Order.HOLD_HERE
    assert phases.phase is Phase.HOLDING and phases.fault == "overload"
    assert phases.update(2.0, "overload") is Order.NONE
    assert phases.update(2.2, "overload") is Order.LOWER
    phases.lowering()
    assert phases.update(50.0, "overload") is Order.NONE and not phases.takes_commands
    phases.lowered()
    phases.torque(False)
    assert phases.phase is Phase.OFF and phases.fault == ""


def test_a_fault_that_passes_leaves_it_holding(phases):
    phases.command(0.0)
    phases.update(0.1, "over_temperature")
    assert phases.update(1.0, "") is Order.NONE and phases.phase is Phase.HOLDING and phases.fault == ""
    phases.command(1.5)
    assert phases.phase is Phase.ACTIVE
    assert phases.update(1.6, "over_temperature") is Order.HOLD_HERE  # and counts anew
    assert phases.update(3.5, "over_temperature") is Order.NONE
