"""Both bus backends and the link over them against the simulated servos in their own process."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from arm_processes import simulator, wait_until

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup.arm_bus import TORQUE_EVERY, CableGone, ServoSilent, make_bus
from kdp_so100_bringup.arm_link import ArmLink, LinkOptions
from kdp_so100_bringup.calibration import Calibration, MotorCalibration
from kdp_so100_bringup.sim_arm import arm_calibration

LEROBOT = pytest.param(
    "lerobot",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("lerobot") is None, reason="lerobot is not installed here"
    ),
)
IDS = (1, 2, 3, 4, 5, 6)
TICK_RAD = 2 * 3.14159265 / 4096


@pytest.fixture(scope="module")
def arm(tmp_path_factory):
    with simulator(tmp_path_factory.mktemp("arm"), "--scene", "joints") as (port, side):
        yield port, side


@pytest.fixture(params=["scservo_sdk", LEROBOT])
def backend(request):
    return request.param


@pytest.fixture
def bus(arm, backend):
    bus = make_bus(backend, arm[0], IDS, 0.1)
    bus.open()
    yield bus
    bus.close()


class Owner:
    """A link with what it reported."""

    def __init__(self, port, calibration=None, backend="scservo_sdk", **options):
        self.states, self.reports = [], []
        options = LinkOptions(backend, port, reconnect_s=0.2, timeout_s=0.05, **options)
        self.link = ArmLink(
            options,
            calibration or arm_calibration(),
            self.states.append,
            lambda *line: self.reports.append(line),
        )
        self.link.open()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.link.close()

    def connected(self):
        wait_until(lambda: self.link.connected and self.states, 5.0, "connected")
        return self


def test_what_the_servos_are_told_they_do(arm, bus):
    _, side = arm
    bus.configure()
    start = bus.read()
    assert len(start.ticks) == 6 and start.received_ns > start.started_ns
    bus.write_goals(start.ticks)
    bus.set_torque(True)
    assert bus.torque_enabled() == [True] * 6 and all(side.truth()["torque"])
    goals = [tick + 80 for tick in start.ticks]
    crc = bus.write_goals(goals)
    assert crc != bus.write_goals([tick + 81 for tick in start.ticks]) and crc == bus.write_goals(goals)

    def there():
        return all(abs(a - b) <= 3 for a, b in zip(bus.read().ticks, goals, strict=True))

    wait_until(there, 3.0, "joints at their goals")
    bus.set_torque(False)
    assert bus.torque_enabled() == [False] * 6


def test_receipts_carry_the_crc_of_the_write(arm, bus):
    _, side = arm
    side.subscribe()
    crc = bus.write_goals([2000, 2001, 2002, 2003, 2004, 2005])
    found = set()

    def seen():
        message = side.receive(0.05)
        found.add((message or {}).get("crc"))
        return crc in found

    wait_until(seen, 2.0, "receipt")


def test_calibration_is_read_and_written(arm, bus):
    before = bus.read_calibration()
    assert before == [motor.registers for motor in arm_calibration().motors]
    changed = [(offset + 5, low + 1, high - 1) for offset, low, high in before]
    bus.write_calibration(changed)
    assert bus.read_calibration() == changed
    bus.write_calibration(before)
    assert bus.read_calibration() == before


def test_a_silent_servo_is_named(arm, bus):
    _, side = arm
    side.request("servo", servo=4, silent=True)
    try:
        with pytest.raises(ServoSilent, match="wrist_flex") as told:
            bus.read()
        assert told.value.ids == (4,)
    finally:
        side.request("servo", servo=4, silent=False)
    assert len(bus.read().ticks) == 6


def test_some_reads_say_which_servos_hold(arm, bus):
    _, side = arm
    bus.set_torque(True)
    try:
        side.request("power_cycle", servo=5)
        readings = [bus.read() for _ in range(2 * TORQUE_EVERY)]
        assert [r.torque for r in readings if r.torque] == [(True, True, True, True, False, True)] * 2
        assert all(readings[0].ticks == pytest.approx(r.ticks, abs=3) for r in readings)
    finally:
        bus.set_torque(False)


@pytest.mark.parametrize("silent", [1, 3])
def test_switching_off_reaches_every_servo_but_the_silent_one(arm, bus, silent):
    """A servo that does not answer hears as little: the other five must not wait for it."""
    _, side = arm
    bus.set_torque(True)
    assert all(side.truth()["torque"])
    side.request("servo", servo=silent, silent=True)
    try:
        with pytest.raises(ServoSilent, match=f"id {silent}|id_={silent}"):
            bus.set_torque(False)
        assert side.truth()["torque"] == [servo == silent for servo in IDS]
    finally:
        side.request("servo", servo=silent, silent=False)
    bus.set_torque(False)
    assert not any(side.truth()["torque"])


def test_late_answers_are_never_taken_for_others(arm, bus):
    """For a moment the answers come after the patience with them has ended."""
    _, side = arm
    for _ in range(3):
        side.request("wire", usb_delay_ms=60.0)
        with pytest.raises(ServoSilent):
            bus.read()
        side.request("wire", usb_delay_ms=1.0)
        assert bus.torque_enabled() == [bool(t) for t in side.truth()["torque"]]
        assert bus.read_calibration() == [motor.registers for motor in arm_calibration().motors]
    joints = arm_calibration().to_ticks(side.truth()["joints"])
    for _ in range(40):
        reading = bus.read()
        assert max(abs(a - b) for a, b in zip(reading.ticks, joints, strict=True)) < 6
    assert reading.celsius == (30.0,) * 6 and reading.volts == pytest.approx((12.0,) * 6)


def test_a_pulled_cable_is_told_and_comes_back(arm, bus):
    _, side = arm
    try:
        side.request("cable", plugged=False)
        wait_until(lambda: not side.truth()["plugged"], 2.0, "unplugged")
        time.sleep(0.1)
        with pytest.raises(CableGone):
            bus.read()
        with pytest.raises(CableGone):
            bus.write_goals([2048] * 6)
        bus.close()
        with pytest.raises(CableGone, match="cannot open"):
            bus.open()
    finally:
        bus.close()
        side.request("cable", plugged=True)
    wait_until(lambda: Path(arm[0]).exists(), 2.0, "port")
    bus.open()
    assert len(bus.read().ticks) == 6


def test_states_arrive_in_rad_at_the_rate(arm, backend):
    port, side = arm
    with Owner(port, backend=backend).connected() as owner:
        owner.link.send(owner.states[-1].joints)
        wait_until(lambda: len(owner.states) > 50, 5.0, "50 states")
        seconds = (owner.states[50].started_ns - owner.states[1].started_ns) * 1e-9
        assert 0.9 < seconds < 0.98 * 3  # 49 periods of 20 ms; a busy machine is slower, never quicker
        truth = side.truth()["joints"]
        assert owner.states[-1].joints == pytest.approx(truth, abs=2 * TICK_RAD)
        wait_until(lambda: owner.states[-1].celsius and owner.states[-1].volts, 5.0, "slow registers")
        assert owner.states[-1].celsius == (30.0,) * 6 and owner.states[-1].volts == pytest.approx(
            (12.0,) * 6
        )


def test_torque_comes_on_without_a_jump(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        assert owner.link.torque(False)[0]
        before = owner.states[-1].joints
        assert owner.link.torque(True) == (True, "")
        assert all(side.truth()["torque"])
        count = len(owner.states)
        wait_until(lambda: len(owner.states) > count + 10, 3.0, "more states")
        assert owner.states[-1].joints == pytest.approx(before, abs=3 * TICK_RAD)


def test_damaged_answers_are_repeated_and_many_are_a_fault(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        side.request("wire", checksum_rate=0.01)
        count = len(owner.states)
        wait_until(
            lambda: len(owner.states) > count + 150 and owner.link.retries > 0, 10.0, "a repeated read"
        )
        assert owner.link.fault == ""
        side.request("wire", checksum_rate=0.5)
        wait_until(lambda: owner.link.fault == "checksum_errors", 10.0, "fault")
        assert "damaged" in owner.link.detail
        side.request("wire", checksum_rate=0.0)
        wait_until(lambda: owner.link.fault == "", 10.0, "fault over")


def test_a_silent_servo_is_a_fault_until_it_answers_again(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        side.request("servo", servo=2, silent=True)
        wait_until(lambda: owner.link.fault == "servo_silent", 5.0, "fault")
        assert "shoulder_lift (id 2)" in owner.link.detail
        age = owner.link.state_age_s()
        time.sleep(0.1)
        assert owner.link.state_age_s() > age  # no state is made up
        side.request("servo", servo=2, silent=False)
        wait_until(lambda: owner.link.fault == "" and owner.link.state_age_s() < 0.1, 10.0, "fault over")
        assert ("info", "servo_silent is over") in owner.reports


@pytest.mark.parametrize("servo", [None, 2])
def test_torque_that_is_lost_without_a_missed_read_is_noticed(arm, servo):
    port, side = arm
    with Owner(port).connected() as owner:
        assert owner.link.torque(True)[0] and owner.link.torqued == [True] * 6
        side.request("power_cycle", servo=servo)
        expected = [servo is not None and i != servo for i in IDS]
        wait_until(lambda: owner.link.torqued == expected, 2.0, "noticed")
        assert owner.link.fault == ""
        assert owner.link.torque(False)[0]


def test_goals_go_only_to_servos_that_hold(monkeypatch):
    """A goal may switch a servo on; one read that says that it does not hold is enough to send none."""
    owner = Owner("/no/such/port")
    owner.link.close()
    sent = []
    monkeypatch.setattr(owner.link._bus, "write_goals", lambda ticks, to: sent.append(list(to)) or 7)
    owner.link.connected, owner.link.torqued = True, [True] * 6
    assert owner.link.send([0.0] * 6)[0] == 7
    owner.link._note_torque((True, True, False, True, True, True))
    owner.link.send([0.0] * 6)
    owner.link.torqued, owner.link._torque_seen = [False] * 6, ()
    assert owner.link.send([0.0] * 6) == (0, 0)
    assert sent == [[True] * 6, [True, True, False, True, True, True]]


def test_one_read_alone_does_not_say_that_torque_was_lost():
    """A damaged answer may pass the checksum, which is of eight bits."""
    owner = Owner("/no/such/port")
    owner.link.close()
    owner.link.torqued = [True] * 6
    for seen in ((True, True, False, True, True, True), (), (True,) * 6, (True,) * 5 + (False,)):
        owner.link._note_torque(seen)
        assert owner.link.torqued == [True] * 6
    owner.link._note_torque((True,) * 5 + (False,))
    assert owner.link.torqued == [True] * 5 + [False]


def test_the_link_remembers_that_it_could_not_switch_all_off(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        assert owner.link.torque(True)[0]
        side.request("servo", servo=1, silent=True)
        done, why = owner.link.torque(False)
        assert not done and "shoulder_pan" in why and owner.link.off_wanted
        assert side.truth()["torque"] == [True] + [False] * 5
        side.request("servo", servo=1, silent=False)
        wait_until(lambda: owner.link.torque(False)[0], 5.0, "all off")
        assert not owner.link.off_wanted and not any(side.truth()["torque"])


def test_servos_are_switched_off_even_if_one_is_missing_when_connecting(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        assert owner.link.torque(True)[0]
    side.request("servo", servo=2, silent=True)
    try:
        with Owner(port) as owner:
            wait_until(lambda: owner.link.fault == "servo_silent", 5.0, "fault")
            assert not owner.link.torque(False)[0]
            expected = [servo == 2 for servo in IDS]
            wait_until(lambda: side.truth()["torque"] == expected, 5.0, "the others off")
    finally:
        side.request("servo", servo=2, silent=False)
    with Owner(port).connected() as owner:
        assert owner.link.torque(False)[0]


def test_servos_that_are_all_silent_are_asked_anew(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        for servo in IDS:
            side.request("servo", servo=servo, silent=True)
        wait_until(lambda: not owner.link.connected, 6.0, "given up")
        for servo in IDS:
            side.request("servo", servo=servo, silent=False)
        wait_until(lambda: owner.link.connected and owner.link.state_age_s() < 0.1, 6.0, "connected again")


def test_a_pulled_cable_is_a_fault_and_the_link_repairs_itself(arm):
    port, side = arm
    with Owner(port).connected() as owner:
        side.request("cable", plugged=False)
        wait_until(lambda: not owner.link.connected, 3.0, "noticed")
        assert owner.link.fault == "link_lost" and owner.link.send([0.0] * 6) == (0, 0)
        assert owner.link.torque(True)[0] is False
        wait_until(lambda: "is not there" in owner.link.detail, 3.0, "an attempt")
        side.request("cable", plugged=True)
        wait_until(lambda: owner.link.connected and owner.link.fault == "", 5.0, "connected again")
        errors = [text for level, text in owner.reports if level == "error"]
        assert len(errors) == 2  # lost, and not there: each once, however many attempts


def wrong_calibration():
    motors = list(arm_calibration().motors)
    motors[2] = MotorCalibration(3, 0, motors[2].homing_offset + 7, motors[2].range_min, motors[2].range_max)
    return Calibration(motors)


def test_another_arms_calibration_is_a_fault_and_moves_nothing(arm):
    port, _ = arm
    with Owner(port, wrong_calibration()) as owner:
        wait_until(lambda: owner.link.fault == "calibration_mismatch", 5.0, "fault")
        assert (
            "elbow_flex.homing_offset is 1190 in the servo and 1197 in the calibration" in owner.link.detail
        )
        assert not owner.link.connected and owner.states == []
        assert owner.link.torque(True)[0] is False


def test_calibration_is_written_only_when_asked_to(arm):
    port, _ = arm
    with Owner(port, wrong_calibration(), write_calibration=True).connected() as owner:
        assert any("calibration written" in text for _, text in owner.reports)
    with Owner(port) as owner:
        wait_until(lambda: owner.link.fault == "calibration_mismatch", 5.0, "the servos have kept it")
    with Owner(port, write_calibration=True).connected():
        pass


def test_a_port_belongs_to_one_driver(arm, backend):
    port, _ = arm
    with Owner(port).connected() as first:
        with Owner(port, backend=backend) as second:
            wait_until(lambda: second.link.fault == "port_busy", 5.0, "refused")
            time.sleep(0.5)
            assert not second.link.connected and second.states == []
            reports = [("error", f"{port} is in use by another program (a second driver?)")]
            assert second.reports == reports  # once, however many attempts
        assert first.link.connected and first.link.retries == 0 and first.link.state_age_s() < 0.5
        second = Owner(port, backend=backend)
    try:
        second.connected()  # as soon as the first is gone
    finally:
        second.link.close()


def test_closing_is_quick_whatever_the_state(arm):
    port, side = arm
    for silent in (False, True):
        side.request("servo", servo=1, silent=silent)
        owner = Owner(port)
        time.sleep(0.3)
        start = time.monotonic()
        owner.link.close()
        assert time.monotonic() - start < 2.0 * 4
    side.request("servo", servo=1, silent=False)


def test_unknown_and_missing_backends_are_one_line(monkeypatch):
    with pytest.raises(ConfigError, match="scservo_sdk, lerobot"):
        make_bus("dynamixel", "/dev/null", IDS, 0.1)
    monkeypatch.setitem(sys.modules, "kdp_so100_bringup.lerobot_bus", None)
    with pytest.raises(ConfigError, match="needs the package lerobot"):
        make_bus("lerobot", "/dev/null", IDS, 0.1)
