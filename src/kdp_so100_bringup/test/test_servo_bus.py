"""Instructions on a wire with several servos: who acts, who answers, under which id."""

import pytest

from kdp_so100_bringup import feetech_protocol as protocol
from kdp_so100_bringup.feetech_protocol import BROADCAST_ID, Error, Frame, FrameReader, Instruction
from kdp_so100_bringup.registers import Register
from kdp_so100_bringup.servo import Servo
from kdp_so100_bringup.servo_bus import ServoBus


@pytest.fixture
def goals():
    return []


@pytest.fixture
def bus(goals):
    return ServoBus([Servo(1), Servo(2), Servo(3)], goals.append)


def send(bus, data, baud_code=None):
    """Answers to a frame, as frames."""
    (frame,) = FrameReader().feed(data)
    return FrameReader().feed(b"".join(reply.frame for reply in bus.execute(frame, baud_code)))


def test_ping_is_answered_by_the_servo_or_by_all(bus):
    assert send(bus, protocol.ping(2)) == [Frame(2, 0)]
    assert send(bus, protocol.ping(9)) == []
    assert [frame.servo_id for frame in send(bus, protocol.ping(BROADCAST_ID))] == [1, 2, 3]


def test_the_error_byte_is_in_every_answer(bus):
    bus.servos[1].temperature_c = 80.0
    bus.servos[1].advance(0.004, 2048, 0, 0)
    assert send(bus, protocol.ping(2)) == [Frame(2, Error.TEMPERATURE)]
    assert send(bus, protocol.read(2, 3, 2)) == [Frame(2, Error.TEMPERATURE, b"\x09\x03")]


def test_writes_are_answered_when_the_status_level_says_so(bus):
    assert send(bus, protocol.write(1, Register.P_GAIN.address, b"\x10")) == [Frame(1, 0)]
    send(bus, protocol.write(1, Register.STATUS_LEVEL.address, b"\x00"))
    assert send(bus, protocol.write(1, Register.P_GAIN.address, b"\x11")) == []
    assert send(bus, protocol.read(1, Register.P_GAIN.address, 1)) == [Frame(1, 0, b"\x11")]
    assert send(bus, protocol.ping(1)) == [Frame(1, 0)]


def test_a_broadcast_write_reaches_all_and_nobody_answers(bus):
    assert send(bus, protocol.write(BROADCAST_ID, Register.ACCELERATION.address, b"\x07")) == []
    assert {servo.memory.get(Register.ACCELERATION) for servo in bus.servos} == {7}


def test_registered_writes_act_together(bus):
    address = Register.GOAL_POSITION.address
    for servo in (1, 3):
        assert send(bus, protocol.reg_write(servo, address, b"\x00\x04")) == [Frame(servo, 0)]
    assert [servo.memory.get(Register.GOAL_POSITION) for servo in bus.servos] == [0, 0, 0]
    assert send(bus, protocol.action()) == []
    assert [servo.memory.get(Register.GOAL_POSITION) for servo in bus.servos] == [1024, 0, 1024]


def test_sync_read_is_answered_in_the_order_asked_and_a_silent_servo_leaves_a_gap(bus):
    bus.servos[0].silent = True
    frames = send(bus, protocol.sync_read(Register.ID.address, 1, [3, 1, 2]))
    assert frames == [Frame(3, 0, b"\x03"), Frame(2, 0, b"\x02")]


def test_sync_write_writes_without_answer_and_goals_are_noted(bus, goals):
    data = protocol.sync_write(Register.GOAL_POSITION.address, {1: b"\x00\x05", 3: b"\x00\x06", 7: b"\0\0"})
    assert send(bus, data) == []
    assert [servo.memory.get(Register.GOAL_POSITION) for servo in bus.servos] == [1280, 0, 1536]
    assert goals == [data[5:-1]]
    send(bus, protocol.sync_write(Register.TORQUE_LIMIT.address, {1: b"\x00\x01"}))
    assert len(goals) == 1
    send(bus, protocol.sync_write(Register.ACCELERATION.address, {1: bytes([9, 0, 8, 0, 0, 0, 0])}))
    assert len(goals) == 2 and bus.servos[0].memory.get(Register.GOAL_POSITION) == 2048


def test_a_new_id_counts_at_once_and_the_answer_comes_under_the_old_one(bus):
    assert send(bus, protocol.write(2, Register.ID.address, b"\x05")) == [Frame(2, 0)]
    assert send(bus, protocol.ping(2)) == [] and send(bus, protocol.ping(5)) == [Frame(5, 0)]


def test_a_reboot_is_not_answered_and_takes_its_time(bus):
    assert send(bus, Frame(1, Instruction.REBOOT).encode()) == []
    assert send(bus, protocol.ping(1)) == []
    bus.servos[0].advance(1.0, 2048, 0, 0)
    assert send(bus, protocol.ping(1)) == [Frame(1, 0)]


def test_calibration_by_instruction(bus):
    bus.servos[0].place(1000.0)
    assert send(bus, Frame(1, Instruction.CALIBRATE, b"\x00\x04").encode()) == [Frame(1, 0)]
    assert send(bus, protocol.read(1, Register.PRESENT_POSITION.address, 2)) == [Frame(1, 0, b"\x00\x04")]


def test_another_baud_rate_is_not_understood(bus):
    assert send(bus, protocol.ping(1), baud_code=0) == [Frame(1, 0)]
    assert send(bus, protocol.ping(1), baud_code=4) == []


@pytest.mark.parametrize("code", [Instruction.READ, Instruction.WRITE, Instruction.SYNC_READ, 0x77])
def test_what_is_not_known_or_too_short_is_not_answered(bus, code):
    assert send(bus, Frame(1, code, b"\x01").encode()) == []


def test_the_return_delay_is_that_of_the_register(bus):
    (reply,) = bus.execute(Frame(1, Instruction.PING))
    assert reply.delay_s == pytest.approx(500e-6)
    send(bus, protocol.write(1, Register.RETURN_DELAY.address, b"\x00"))
    assert bus.execute(Frame(1, Instruction.PING))[0].delay_s == 0
