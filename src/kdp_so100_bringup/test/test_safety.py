"""Limits, guards and error rates; the clock is an argument."""

import dataclasses
import math

import numpy as np
import pytest

from kdp_core.sim.so100_geometry import HIGH_RAD, LOW_RAD
from kdp_so100_bringup.safety import (
    CommandGuard,
    CommandRefused,
    ErrorRate,
    GuardLimits,
    Limits,
    ServoGuard,
    require_command,
    require_fresh,
)

MIDDLE = (0.0, -1.5, 1.5, 0.0, 0.0, 0.5)
LIMITS = Limits(tuple(LOW_RAD), tuple(HIGH_RAD), max_velocity=2.0, max_step=0.3)
WELL = ([30.0] * 6, [0.1] * 6, [12.0] * 6)


def shifted(by, joint=0):
    joints = list(MIDDLE)
    joints[joint] += by
    return tuple(joints)


def test_small_steps_pass_unchanged():
    guard = CommandGuard(LIMITS)
    sent = guard.apply(shifted(0.02), MIDDLE, 0.0)
    assert sent.targets == shifted(0.02) and not sent.limited


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("joint", range(6))
def test_what_is_not_finite_is_refused_and_changes_nothing(value, joint):
    guard = CommandGuard(LIMITS)
    guard.apply(shifted(0.02), MIDDLE, 0.0)
    bad = list(MIDDLE)
    bad[joint] = value
    with pytest.raises(CommandRefused, match="not finite"):
        guard.apply(bad, MIDDLE, 0.02)
    assert guard.apply(shifted(0.05), MIDDLE, 0.02).targets[0] == pytest.approx(0.05)


@pytest.mark.parametrize("length", [0, 1, 5, 7, 12])
def test_wrong_length_is_refused(length):
    with pytest.raises(CommandRefused, match=f"{length} positions, expected 6"):
        require_command([0.0] * length)


def test_old_commands_are_refused_and_unstamped_ones_are_not():
    require_fresh(None, LIMITS)
    require_fresh(0.5, LIMITS)
    with pytest.raises(CommandRefused, match="old"):
        require_fresh(0.51, LIMITS)


def test_commands_from_the_future_are_refused():
    require_fresh(-0.09, LIMITS)
    with pytest.raises(CommandRefused, match=r"3600.00 s ahead"):
        require_fresh(-3600.0, LIMITS)


def test_velocity_is_limited_from_command_to_command():
    guard = CommandGuard(LIMITS)
    now, target = 0.0, 0.0
    for _ in range(10):
        now += 0.02
        sent = guard.apply(shifted(1.0), shifted(target), now)
        assert sent.limited and sent.targets[0] - target == pytest.approx(0.04)
        target = sent.targets[0]


def test_a_pause_is_no_licence_to_jump():
    guard = CommandGuard(LIMITS)
    guard.apply(MIDDLE, MIDDLE, 0.0)
    assert guard.apply(shifted(1.0), MIDDLE, 60.0).targets[0] == pytest.approx(0.2)  # 0.1 s at 2 rad/s
    guard.restart()
    assert guard.apply(shifted(1.0), MIDDLE, 120.0).targets[0] == pytest.approx(0.04)


def test_a_blocked_joint_is_not_pushed_ever_harder():
    """The joint stays, the commands go on: the target never lies farther away than the step limit."""
    guard = CommandGuard(LIMITS)
    for i in range(100):
        sent = guard.apply(shifted(1.5), MIDDLE, 0.02 * i)
        assert sent.targets[0] <= 0.3 + 1e-12
    assert sent.targets[0] == pytest.approx(0.3)


def test_random_commands_never_leave_any_limit():
    rng = np.random.default_rng(1)
    guard, present, last = CommandGuard(LIMITS), np.array(MIDDLE), np.array(MIDDLE)
    for i in range(2000):
        target = rng.normal(0.0, 3.0, 6)
        sent = np.array(guard.apply(target, present, 0.02 * i).targets)
        assert (sent >= LOW_RAD - 1e-12).all() and (sent <= HIGH_RAD + 1e-12).all()
        assert np.abs(sent - present).max() <= 0.3 + 1e-12
        assert np.abs(sent - last).max() <= 0.04 + 1e-9 + np.abs(last - present).max()
        last = sent
        present = np.clip(present + 0.3 * (sent - present), LOW_RAD, HIGH_RAD)


def test_narrower_limits_bring_a_joint_back_no_faster_than_it_may_move():
    guard = CommandGuard(LIMITS)
    target = guard.apply(MIDDLE, MIDDLE, 0.0).targets[0]
    guard.limits = dataclasses.replace(LIMITS, low=(1.2, *LIMITS.low[1:]))
    for i in range(1, 60):
        sent = guard.apply(MIDDLE, shifted(target), 0.02 * i).targets[0]
        assert 0.0 <= sent - target <= 0.04 + 1e-12
        target = sent
    assert target == pytest.approx(1.2)


def test_a_joint_that_was_pushed_away_makes_no_jump_of_the_target():
    guard = CommandGuard(LIMITS)
    guard.apply(MIDDLE, MIDDLE, 0.0)
    target = 0.0
    for i in range(1, 30):
        sent = guard.apply(MIDDLE, shifted(1.0), 0.02 * i).targets[0]
        assert 0.0 <= sent - target <= 0.04 + 1e-12
        target = sent
    assert target == pytest.approx(0.7)


def test_guards_name_what_is_wrong_after_their_patience():
    for celsius, load, volts, name, detail in (
        ([30, 30, 66, 30, 30, 30], WELL[1], WELL[2], "over_temperature", "elbow_flex at 66 C"),
        (WELL[0], [0.1, -0.95, 0, 0, 0, 0], WELL[2], "overload", "shoulder_lift"),
        (WELL[0], WELL[1], [12, 12, 12, 12, 12, 4.4], "low_voltage", "gripper at 4.4 V"),
        (WELL[0], WELL[1], [14.0, 12, 12, 12, 12, 12], "high_voltage", "shoulder_pan"),
        ([math.nan] * 6, WELL[1], WELL[2], "over_temperature", "nan"),
    ):
        guard = ServoGuard(GuardLimits(patience_s=1.0))
        assert guard.update(celsius, load, volts, 10.0) == ""
        assert guard.update(celsius, load, volts, 10.9) == ""
        assert guard.update(celsius, load, volts, 11.0) == name
        assert detail in guard.detail
        assert guard.update(*WELL, 11.1) == name  # a moment is not enough to be well again
        assert guard.update(*WELL, 12.1) == ""


def test_a_grasp_is_no_overload_and_no_readings_are_no_fault():
    guard = ServoGuard(GuardLimits(patience_s=0.0))
    assert guard.update([30.0] * 6, [0.1, 0.1, 0.1, 0.1, 0.1, 1.0], [12.0] * 6, 0.0) == ""
    assert guard.update((), (), (), 1.0) == ""


def test_short_peaks_of_load_are_no_fault():
    guard = ServoGuard(GuardLimits(patience_s=1.0))
    for i in range(200):
        load = 0.99 if i % 20 < 10 else 0.1
        assert guard.update(WELL[0], [load] * 6, WELL[2], 0.02 * i) == ""


def test_error_rate_needs_many_or_many_in_a_row():
    rate = ErrorRate(window=100, threshold=0.2, consecutive=5)
    for i in range(300):
        rate.add(i % 10 == 0)
        assert not rate.too_many
    for _ in range(5):
        assert not rate.too_many
        rate.add(True)
    assert rate.too_many and not rate.calm
    for _ in range(95):
        rate.add(False)
    assert not rate.too_many and rate.calm
    for i in range(100):
        rate.add(i % 4 == 0)
    assert rate.too_many
    rate.reset()
    assert rate.share == 0.0 and not rate.too_many
