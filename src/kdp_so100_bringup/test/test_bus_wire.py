"""Time on the wire, and what noise does to frames. The clock is a number: nothing here sleeps."""

import pytest

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup import feetech_protocol as protocol
from kdp_so100_bringup.bus_wire import Wire, WireQuality
from kdp_so100_bringup.feetech_protocol import Frame, FrameReader, Instruction
from kdp_so100_bringup.servo_bus import Reply

PING = Frame(1, Instruction.PING)
ANSWER = Frame(1, 0).encode()


def wire(**quality):
    made = Wire(seed=1)
    made.quality = WireQuality(**quality)
    return made


def test_a_question_takes_usb_and_wire_there_and_back():
    line = wire(baud=1_000_000, usb_delay_ms=1.0)
    line.send(PING, 10.0)
    assert line.next_due_s() == pytest.approx(10.0 + 1e-3 + 60e-6)
    assert line.arrived(10.001) is None
    at_s, frame = line.arrived(10.002)
    assert frame == PING
    line.answer([Reply(ANSWER, 500e-6)], at_s)
    due = 10.0 + 2e-3 + 120e-6 + 500e-6
    assert line.next_due_s() == pytest.approx(due)
    assert line.received(due - 1e-6) == [] and line.received(due + 1e-6) == [ANSWER]


def test_one_frame_at_a_time():
    line = wire(baud=1000, usb_delay_ms=0.0)
    line.send(PING, 0.0)
    line.send(PING, 0.01)  # while the first, 60 ms long, is still on the wire
    assert line.arrived(1.0)[0] == pytest.approx(0.06)
    assert line.arrived(1.0)[0] == pytest.approx(0.12)


def test_answers_follow_each_other():
    line = wire(baud=10_000, usb_delay_ms=0.0)
    line.send(PING, 0.0)
    at_s, _ = line.arrived(1.0)
    line.answer([Reply(ANSWER, 0.001), Reply(ANSWER, 0.001)], at_s)
    assert line.next_due_s() == pytest.approx(0.006 + 2 * 0.007)
    assert line.received(1.0) == [ANSWER * 2]


def test_without_baud_and_delay_everything_is_there_at_once():
    line = wire(baud=0, usb_delay_ms=0.0)
    line.send(PING, 5.0)
    at_s, _ = line.arrived(5.0)
    line.answer([Reply(ANSWER, 0.0)], at_s)
    assert line.received(5.0) == [ANSWER]


def test_wrong_checksums_come_at_their_rate_and_are_wrong():
    line = wire(baud=0, usb_delay_ms=0.0, checksum_rate=0.25)
    for _ in range(1000):
        line.answer([Reply(ANSWER, 0.0)], 0.0)
    data = line.received(0.0)
    wrong = [answer for answer in data if answer != ANSWER]
    assert 200 < len(wrong) < 300
    assert all(FrameReader().feed(answer) == [] for answer in wrong)


def test_noise_flips_bytes_at_its_rate():
    line = wire(noise_rate=0.1)
    data = bytes(range(256)) * 20
    changed = sum(a != b for a, b in zip(data, line.corrupt(data), strict=True))
    assert 0.08 < changed / len(data) < 0.12
    assert wire().corrupt(protocol.ping(1)) == protocol.ping(1)


def test_clearing_loses_what_is_under_way():
    line = wire()
    line.send(PING, 0.0)
    line.answer([Reply(ANSWER, 0.0)], 0.0)
    line.clear()
    assert line.arrived(9.0) is None and line.received(9.0) == []


@pytest.mark.parametrize(
    "bad", [{"baud": -1}, {"usb_delay_ms": -1.0}, {"checksum_rate": 1.5}, {"noise_rate": float("nan")}]
)
def test_what_is_no_wire_is_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        WireQuality(**bad)
