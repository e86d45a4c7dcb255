"""The driver without ROS over a link that obeys at once: services, commands, faults, safe stops."""

import dataclasses

import numpy as np
import pytest

from kdp_core.sim.so100_geometry import HIGH_RAD, JOINTS, LOW_RAD
from kdp_so100_bringup.arm_control import ArmControl, NotReady
from kdp_so100_bringup.arm_link import ArmState
from kdp_so100_bringup.arm_phase import Phase, Timeouts
from kdp_so100_bringup.safety import CommandRefused, GuardLimits, Limits
from kdp_so100_bringup.trajectory import Trajectory

POSE = (0.1, -1.0, 1.2, 0.3, 0.0, 0.4)
REST = (0.0, -3.1, 3.0, 0.6, 0.0, 0.0)


class Link:
    """Joints follow each command within a cycle."""

    def __init__(self):
        self.connected, self.fault, self.detail, self.age = True, "", "", 0.0
        self.torqued = [False] * 6
        self.off_wanted = self.deaf = False
        self.sent, self.switched = [], []
        self.state = ArmState(0, 0, POSE, (0.0,) * 6, (0.0,) * 6, (12.0,) * 6, (30.0,) * 6, (0,) * 6)

    def state_age_s(self):
        return self.age

    def send(self, joints):
        if not self.connected:
            return 0, 0
        self.sent.append(tuple(joints))
        self.state = dataclasses.replace(self.state, joints=tuple(joints))
        return 4711, 1

    def torque(self, on):
        self.switched.append(on)
        if self.deaf:
            self.off_wanted = not on
            return False, "no answer from shoulder_pan (id 1)"
        self.torqued, self.off_wanted = [on] * 6, False
        return True, ""

    def measure(self, **changes):
        self.state = dataclasses.replace(self.state, **changes)


class Arm:
    """Control and link with a clock."""

    def __init__(self, **timeouts):
        self.link, self.now, self.reports = Link(), 100.0, []
        limits = Limits(tuple(LOW_RAD), tuple(HIGH_RAD))
        self.control = ArmControl(
            self.link, limits, Timeouts(**timeouts), GuardLimits(), REST, 0.6, self.report
        )
        self.control.update(self.now)

    def report(self, *line):
        self.reports.append(line)

    def run(self, seconds):
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.control.update(self.now)

    def command(self, by=0.05, age_s=0.01):
        targets = [*POSE]
        targets[0] += by
        return self.control.command(targets, age_s, self.now)


@pytest.fixture
def arm():
    arm = Arm()
    assert arm.control.torque(True) == (True, "holding")
    return arm


def test_without_torque_commands_are_ignored_and_not_counted():
    arm = Arm()
    with pytest.raises(NotReady, match="torque is off"):
        arm.command()
    assert arm.link.sent == [] and arm.control.refused == 0 and not arm.control.can_move


def test_a_command_goes_out_with_its_crc(arm):
    assert arm.command() == (4711, 1)
    assert arm.link.sent == [pytest.approx((0.15, *POSE[1:]))]
    assert arm.control.phases.phase is Phase.ACTIVE and arm.control.limited == 0


@pytest.mark.parametrize(
    "targets", [[0.0] * 5, [0.0] * 7, [float("nan")] + [0.0] * 5, [0.0] * 5 + [float("inf")]]
)
def test_bad_commands_are_refused_and_counted(arm, targets):
    with pytest.raises(CommandRefused):
        arm.control.command(targets, None, arm.now)
    assert arm.control.refused == 1 and arm.link.sent == []


def test_old_commands_are_refused(arm):
    with pytest.raises(CommandRefused, match="old"):
        arm.command(age_s=0.6)
    assert arm.control.refused == 1


def test_far_commands_are_cut_and_counted(arm):
    arm.command(by=2.0)
    assert arm.link.sent[0][0] == pytest.approx(POSE[0] + 0.02 * 6.0)
    assert arm.control.limited == 1


def test_commands_stop_then_it_holds_then_lowers_slowly_then_the_torque_goes_off(arm):
    arm.command()
    arm.run(0.6)
    assert arm.control.fault()[0] == "command_timeout" and arm.control.can_move
    count = len(arm.link.sent)
    arm.run(9.0)
    assert len(arm.link.sent) == count  # holding is what the servos do
    arm.run(2.0)
    assert arm.control.phases.phase is Phase.LOWERING
    with pytest.raises(NotReady):
        arm.command()
    arm.run(8.0)
    steps = np.abs(np.diff(np.array(arm.link.sent[count:]), axis=0)).max()
    assert steps <= 0.6 * 0.02 + 1e-9
    np.testing.assert_allclose(arm.link.state.joints, REST, atol=0.07)
    assert arm.link.switched == [True, False] and arm.control.phases.phase is Phase.OFF
    assert arm.control.fault() == ("", "")


def test_rest_on_request_and_again(arm):
    done, text = arm.control.go_to_rest(arm.now)
    assert done and "lowering" in text
    arm.run(8.0)
    assert arm.control.phases.phase is Phase.OFF
    assert arm.control.go_to_rest(arm.now) == (True, "torque was off")


def test_an_arm_that_cannot_get_to_its_rest_is_switched_off_in_time(arm):
    arm.link.send = lambda joints: (4711, 1)  # blocked
    arm.control.go_to_rest(arm.now)
    arm.run(8.0)
    assert arm.link.switched[-1] is False


@pytest.mark.parametrize(
    ("reading", "fault"),
    [
        ({"celsius": (70.0,) * 6}, "over_temperature"),
        ({"load": (0.0, 0.95, 0.0, 0.0, 0.0, 0.0)}, "overload"),
        ({"volts": (4.0,) * 6}, "low_voltage"),
        ({"alarms": (0, 0, 32, 0, 0, 0)}, "servo_alarm"),
    ],
)
def test_servos_in_danger_hold_then_stop(arm, reading, fault):
    arm.command(by=0.3)
    arm.link.measure(**reading)
    arm.run(1.2)
    assert arm.control.fault()[0] == fault and not arm.control.can_move
    with pytest.raises(NotReady, match=fault):
        arm.command()
    arm.run(2.2)
    assert arm.control.phases.phase is Phase.LOWERING
    arm.run(9.0)
    assert arm.link.switched[-1] is False
    done, why = arm.control.torque(True)
    assert not done and fault in why


def test_a_load_that_holding_takes_away_lets_commands_go_on(arm):
    arm.command(by=0.3)
    arm.link.measure(load=(0.0, 0.95, 0.0, 0.0, 0.0, 0.0))
    arm.run(1.2)
    assert not arm.control.can_move
    arm.link.measure(load=(0.0,) * 6)
    arm.run(1.2)
    assert arm.control.fault() == ("", "") and arm.control.can_move
    arm.command()
    assert arm.control.phases.phase is Phase.ACTIVE


def test_holding_because_of_a_fault_keeps_the_grip(arm):
    targets = [*POSE]
    targets[5] -= 0.1
    arm.control.command(targets, None, arm.now)
    arm.link.measure(joints=POSE, load=(0.0, 0.95, 0.0, 0.0, 0.0, 0.0))
    arm.run(1.2)
    assert arm.link.sent[-1] == pytest.approx((*POSE[:5], POSE[5] - 0.1))


@pytest.mark.parametrize("fault", ["servo_silent", "checksum_errors"])
def test_while_the_bus_fails_nothing_is_sent_and_then_it_goes_on(arm, fault):
    arm.command()
    count = len(arm.link.sent)
    arm.link.fault, arm.link.detail, arm.link.age = fault, "why", 1.0
    arm.run(30.0)
    with pytest.raises(NotReady, match=f"{fault}: why"):
        arm.command()
    assert arm.control.fault() == (fault, "why")
    assert len(arm.link.sent) == count and arm.link.switched == [True]
    arm.link.fault, arm.link.detail, arm.link.age = "", "", 0.0
    arm.run(0.1)
    assert arm.control.can_move
    arm.command()
    assert arm.control.phases.phase is Phase.ACTIVE


def test_a_lost_link_comes_back_as_it_was_left(arm):
    arm.command()
    arm.link.connected, arm.link.fault = False, "link_lost"
    arm.run(60.0)
    assert arm.control.fault()[0] == "link_lost" and not arm.control.can_move
    arm.link.connected, arm.link.fault = True, ""
    arm.run(0.1)
    assert arm.control.can_move and arm.control.phases.phase is Phase.HOLDING
    arm.run(9.0)
    assert arm.control.phases.phase is Phase.HOLDING  # its patience begins anew
    arm.run(2.0)
    assert arm.control.phases.phase is Phase.LOWERING


@pytest.mark.parametrize("connected", [True, False])
def test_lowering_goes_on_after_the_bus_failed(arm, connected):
    arm.control.go_to_rest(arm.now)
    arm.run(0.5)
    arm.link.connected, arm.link.fault, arm.link.age = connected, "servo_silent", 1.0
    arm.run(20.0)
    assert arm.control.phases.phase is Phase.LOWERING and arm.link.switched == [True]
    arm.link.connected, arm.link.fault = True, ""
    arm.run(0.1)  # well again, but nothing was read yet
    arm.link.age = 0.0
    arm.run(0.1)
    assert arm.control.phases.phase is Phase.LOWERING and not arm.control.can_move
    for before, after in zip(arm.link.sent[:-1], arm.link.sent[1:], strict=True):
        assert after == pytest.approx(before, abs=0.1)
    arm.run(9.0)
    assert arm.link.state.joints == pytest.approx(REST, abs=0.07) and arm.link.switched[-1] is False


def test_servos_that_lost_their_power_are_not_switched_on_by_themselves(arm):
    arm.command()
    arm.link.connected, arm.link.fault = False, "link_lost"
    arm.run(1.0)
    arm.link.torqued = [False] * 6
    arm.link.connected, arm.link.fault = True, ""
    arm.run(0.1)
    assert arm.control.phases.phase is Phase.OFF and not arm.control.can_move
    assert arm.control.fault() == ("torque_lost", ", ".join(JOINTS)) and arm.link.switched == [True]


def test_torque_that_all_servos_lost_without_a_missed_read_is_a_fault_until_it_is_switched(arm):
    arm.command()
    arm.link.torqued = [False] * 6
    arm.run(0.1)
    assert arm.control.fault()[0] == "torque_lost" and arm.control.phases.phase is Phase.OFF
    with pytest.raises(NotReady, match="torque_lost: shoulder_pan"):
        arm.command()
    done, why = arm.control.go_to_rest(arm.now)
    assert not done and "torque_lost" in why
    arm.run(30.0)
    assert arm.control.fault()[0] == "torque_lost" and arm.link.switched == [True]
    assert [text for level, text in arm.reports if level == "error"] == ["torque_lost: " + ", ".join(JOINTS)]
    assert arm.control.torque(True) == (True, "holding") and arm.control.fault() == ("", "")
    arm.run(0.1)
    arm.command()
    assert arm.control.phases.phase is Phase.ACTIVE


def lose_elbow(arm):
    arm.command()
    arm.link.torqued = [True, True, False, True, True, True]
    arm.run(0.1)
    assert arm.control.fault() == ("torque_lost", "elbow_flex") and not arm.control.can_move


@pytest.mark.parametrize("silent_first", [False, True])
def test_when_one_servo_lost_its_torque_the_others_hold_then_lower(arm, silent_first):
    if silent_first:  # as a servo is that restarts
        arm.command()
        arm.link.fault, arm.link.detail, arm.link.age = "servo_silent", "why", 1.0
        arm.run(0.8)
        arm.link.torqued = [True, True, False, True, True, True]
        arm.link.fault, arm.link.detail, arm.link.age = "", "", 0.0
        arm.run(0.1)
    else:
        lose_elbow(arm)
    assert arm.control.fault() == ("torque_lost", "elbow_flex")
    assert arm.control.phases.phase is Phase.HOLDING and arm.link.switched == [True]
    arm.run(2.2)
    assert arm.control.phases.phase is Phase.LOWERING
    arm.run(9.0)
    np.testing.assert_allclose(arm.link.state.joints, REST, atol=0.07)
    assert arm.control.phases.phase is Phase.OFF and arm.link.switched == [True, False]
    assert arm.control.fault() == ("torque_lost", "elbow_flex")  # until somebody has seen it
    assert arm.control.torque(False)[0] and arm.control.fault() == ("", "")


def test_rest_lowers_what_still_holds(arm):
    lose_elbow(arm)
    done, text = arm.control.go_to_rest(arm.now)
    assert done and "lowering" in text and arm.control.phases.phase is Phase.LOWERING


def test_the_torque_service_takes_a_servo_that_lost_it_back(arm):
    lose_elbow(arm)
    assert arm.control.torque(True) == (True, "holding") and arm.control.fault() == ("", "")
    arm.run(5.0)
    assert arm.control.can_move and arm.control.phases.phase is Phase.READY


def test_torque_lost_while_lowering_does_not_stop_it_and_losing_all_ends_it(arm):
    arm.control.go_to_rest(arm.now)
    arm.run(0.5)
    arm.link.torqued = [True] * 5 + [False]
    arm.run(0.5)
    assert arm.control.fault() == ("torque_lost", "gripper")
    assert arm.control.phases.phase is Phase.LOWERING
    arm.link.torqued = [False] * 6
    arm.run(0.1)
    assert arm.control.phases.phase is Phase.OFF and arm.control.fault()[0] == "torque_lost"


def test_an_arm_that_is_found_held_in_part_keeps_still_until_somebody_decides():
    """Connecting never switches the torque; but neither must `rest` say that there is none."""
    arm = Arm()
    arm.link.torqued = [False, True, False, True, True, True]
    arm.run(60.0)
    assert arm.control.fault() == ("torque_lost", "shoulder_pan, elbow_flex") and not arm.control.can_move
    assert arm.link.sent == arm.link.switched == [] and arm.control.phases.powered
    assert arm.control.go_to_rest(arm.now)[0]
    arm.run(9.0)
    assert arm.link.switched == [False]


def test_an_arm_found_held_in_part_stops_when_more_servos_lose_their_torque():
    arm = Arm()
    arm.link.torqued = [True] * 5 + [False]
    arm.run(5.0)
    assert arm.control.phases.powered and arm.link.switched == []
    arm.link.torqued = [True, False, True, True, True, False]
    arm.run(12.0)
    assert arm.control.fault() == ("torque_lost", "shoulder_lift, gripper")
    assert arm.control.phases.phase is Phase.OFF and arm.link.switched == [False]


def test_switching_off_is_repeated_until_every_servo_has_confirmed(arm):
    arm.command()
    arm.link.deaf, arm.link.fault, arm.link.detail = True, "servo_silent", "no answer from id 1"
    done, why = arm.control.torque(False)
    assert not done and "repeated" in why and arm.control.phases.phase is Phase.OFF
    count = len(arm.link.sent)
    arm.run(3.0)
    assert 5 <= arm.link.switched.count(False) <= 8 and arm.control.fault()[0] == "torque_not_off"
    assert not arm.control.can_move and not arm.control.torque(True)[0] and not arm.control.go_to_rest(0.0)[0]
    arm.link.torqued, arm.link.deaf, arm.link.fault, arm.link.detail = [True] * 6, False, "", ""
    arm.run(1.0)
    assert arm.link.torqued == [False] * 6 and arm.control.fault() == ("", "")
    assert arm.control.phases.phase is Phase.OFF and len(arm.link.sent) == count
    assert any("confirmed" in text for _, text in arm.reports)
    assert arm.control.torque(True) == (True, "holding")


def test_an_emergency_without_a_link_is_done_when_the_link_is_back(arm):
    arm.link.connected, arm.link.fault, arm.link.deaf = False, "link_lost", True
    arm.run(0.1)
    assert not arm.control.torque(False)[0]
    arm.link.connected, arm.link.fault, arm.link.deaf = True, "", False  # and the servos still hold
    arm.run(0.6)
    assert arm.link.torqued == [False] * 6 and arm.control.phases.phase is Phase.OFF


def test_an_arm_that_holds_when_the_driver_starts_goes_on_holding():
    arm = Arm()
    arm.link.connected = False
    arm.run(0.1)
    arm.link.connected, arm.link.torqued = True, [True] * 6
    arm.run(0.1)
    assert arm.control.phases.phase is Phase.READY and arm.link.sent == [] and arm.link.switched == []


def test_stale_states_stop_everything(arm):
    arm.link.age = 0.4
    assert arm.control.fault()[0] == "state_stale"
    with pytest.raises(NotReady, match="state_stale"):
        arm.command()


def test_a_trajectory_is_followed_to_its_end(arm):
    end = list(POSE)
    end[1] += 0.5
    arm.control.follow(Trajectory(JOINTS, [(1.0, end)], POSE, arm.now))
    arm.run(0.5)
    assert arm.link.state.joints[1] == pytest.approx(POSE[1] + 0.25, abs=0.02)
    arm.run(0.6)
    assert arm.link.state.joints == pytest.approx(tuple(end))
    arm.run(0.6)
    assert arm.control.fault()[0] == "command_timeout"


def test_a_command_replaces_a_trajectory(arm):
    end = list(POSE)
    end[1] += 0.5
    arm.control.follow(Trajectory(JOINTS, [(1.0, end)], POSE, arm.now))
    arm.run(0.2)
    arm.command(by=0.0)
    count = len(arm.link.sent)
    arm.run(0.3)
    assert len(arm.link.sent) == count
