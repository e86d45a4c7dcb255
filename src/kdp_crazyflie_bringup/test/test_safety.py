"""Limits on commands, without ROS and with a clock of our own."""

import math

import pytest

from kdp_crazyflie_bringup.safety import (
    CommandRefused,
    Limits,
    VelocityGuard,
    check_position,
    fence_velocity,
    limit_hover,
    outside_fence,
    require_fresh,
)

CENTRE = (3.0, 0.0, 1.0)
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("bad", [(NAN, 0, 0), (0, INF, 0), (0, 0, -INF)])
def test_non_finite_velocity_is_refused_and_leaves_no_trace(bad):
    guard = VelocityGuard(Limits())
    guard.apply((0.1, 0.0, 0.0), 0.0, CENTRE, 0.0)
    with pytest.raises(CommandRefused, match="not finite"):
        guard.apply(bad, 0.0, CENTRE, 0.02)
    assert guard.apply((0.1, 0.0, 0.0), 0.0, CENTRE, 0.04).values == (0.1, 0.0, 0.0, 0.0)


def test_non_finite_yaw_rate_and_position_are_refused():
    guard = VelocityGuard(Limits())
    with pytest.raises(CommandRefused):
        guard.apply((0.0, 0.0, 0.0), NAN, CENTRE, 0.0)
    with pytest.raises(CommandRefused):
        guard.apply((0.0, 0.0, 0.0), 0.0, (NAN, 0.0, 1.0), 0.0)


def test_a_command_within_the_limits_passes_unchanged():
    result = VelocityGuard(Limits()).apply((0.1, -0.05, 0.05), 0.5, CENTRE, 0.0)
    assert result.values == (0.1, -0.05, 0.05, 0.5) and not result.limited


def test_speed_limit_keeps_the_direction():
    guard = VelocityGuard(Limits(max_acceleration=1e3))
    vx, vy, vz, rate = guard.apply((3.0, 4.0, -2.0), 9.0, CENTRE, 0.0).values
    assert math.hypot(vx, vy) == pytest.approx(0.8) and vy / vx == pytest.approx(4 / 3)
    assert (vz, rate) == (-0.5, 2.0)


def test_step_limit_bounds_every_change_whatever_is_asked():
    guard = VelocityGuard(Limits(max_acceleration=5.0))
    last, now = (0.0, 0.0, 0.0), 0.0
    for wanted in [(0.8, 0, 0), (-0.8, 0, 0), (0, 0.8, 0.5), (0, -0.8, -0.5)] * 10:
        now += 0.02
        *velocity, _ = guard.apply(wanted, 0.0, CENTRE, now).values
        assert math.dist(velocity, last) <= 5.0 * 0.02 + 1e-9
        last = tuple(velocity)


def test_step_limit_reaches_the_command_in_time_and_a_pause_is_no_licence_to_jump():
    guard = VelocityGuard(Limits(max_acceleration=5.0))
    for i in range(9):
        result = guard.apply((0.8, 0.0, 0.0), 0.0, CENTRE, 0.02 * i)
    assert result.values[0] == pytest.approx(0.8) and not result.limited
    assert guard.apply((-0.8, 0.0, 0.0), 0.0, CENTRE, 60.0).values[0] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("position", "velocity", "expected"),
    [
        ((5.9, 0.0, 1.0), (0.8, 0.3, 0.0), (0.2, 0.3, 0.0)),  # slows towards the fence, free along it
        ((6.0, 0.0, 1.0), (0.8, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((6.3, 0.0, 1.0), (0.8, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((6.3, 0.0, 1.0), (-0.5, 0.0, 0.0), (-0.5, 0.0, 0.0)),  # the way back is open
        ((3.0, -2.0, 1.0), (0.0, -0.5, 0.0), (0.0, 0.0, 0.0)),
        ((3.0, 0.0, 2.0), (0.0, 0.0, 0.5), (0.0, 0.0, 0.0)),
        ((3.0, 0.0, 0.15), (0.0, 0.0, -0.5), (0.0, 0.0, 0.0)),  # minimum height
    ],
)
def test_fence_stops_outward_motion_only(position, velocity, expected):
    assert fence_velocity(velocity, position, Limits()) == pytest.approx(expected)


def test_fence_holds_against_any_command_in_closed_loop():
    limits = Limits()
    guard, position = VelocityGuard(limits), [5.0, 1.0, 1.0]
    for i in range(1000):
        *velocity, _ = guard.apply((5.0, 5.0, 5.0), 0.0, tuple(position), 0.02 * i).values
        position = [p + 0.02 * v for p, v in zip(position, velocity, strict=True)]
    assert position == pytest.approx([6.0, 2.0, 2.0], abs=0.01) and not outside_fence(
        tuple(position), limits, 1e-6
    )


def test_ground_is_no_fence_but_the_margin_counts():
    limits = Limits(fence_min=(0.0, -2.0, 0.5))
    assert not outside_fence((3.0, 0.0, 0.0), limits)
    assert not outside_fence((6.1, 0.0, 1.0), limits, margin=0.2)
    assert outside_fence((6.3, 0.0, 1.0), limits, margin=0.2)


def test_hover_is_limited_in_the_world_and_returned_in_the_body_frame():
    guard = VelocityGuard(Limits(max_acceleration=1e3))
    # Heading +y at the fence in y: forward is outward, sideways (to -x) is free.
    result = limit_hover((0.5, 0.3), 0.0, 0.05, math.pi / 2, (3.0, 2.0, 1.0), guard, 0.0)
    assert result.values == pytest.approx((0.0, 0.3, 0.0, 0.2), abs=1e-9) and result.limited


@pytest.mark.parametrize("goal", [(7.0, 0.0, 1.0), (3.0, 0.0, 2.5), (3.0, 0.0, 0.1), (NAN, 0.0, 1.0)])
def test_position_outside_is_refused(goal):
    with pytest.raises(CommandRefused):
        check_position(goal, 0.0, Limits())
    check_position(CENTRE, 0.0, Limits())


def test_old_commands_are_refused_and_unstamped_ones_are_not():
    require_fresh(None, Limits())
    require_fresh(0.4, Limits())
    with pytest.raises(CommandRefused, match=r"0\.60 s old"):
        require_fresh(0.6, Limits())


def test_commands_from_the_future_are_refused():
    require_fresh(-0.05, Limits())
    with pytest.raises(CommandRefused, match=r"0\.60 s in the future"):
        require_fresh(-0.6, Limits())
