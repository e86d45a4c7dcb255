"""Answers of the simulated firmware, byte by byte, as crazyflie-firmware's CRTP pages give them."""

import struct

import pytest

from kdp_core.sim.crazyflie import Crazyflie
from kdp_crazyflie_bringup.crtp import Errno, packet
from kdp_crazyflie_bringup.firmware import Firmware
from kdp_crazyflie_bringup.firmware_commander import Kind, decode_setpoint
from kdp_crazyflie_bringup.firmware_log import LOG_TOC
from kdp_crazyflie_bringup.firmware_param import PARAM_TOC


@pytest.fixture
def firmware():
    return Firmware(Crazyflie(1))


def ask(firmware, port, channel, data):
    (answer,) = firmware.receive(packet(port, channel, data))
    assert answer[0] == packet(port, channel)[0]
    return answer[1:]


def test_link_echo_and_source(firmware):
    assert ask(firmware, 15, 0, b"ping") == b"ping"
    source = ask(firmware, 15, 1, b"\x00")
    assert source[:18] == b"Bitcraze Crazyflie" and not any(source[18:])


def test_protocol_version_is_12(firmware):
    assert ask(firmware, 13, 1, b"\x00") == b"\x00\x0c"


def test_null_packet_is_answered_for_scanners(firmware):
    assert firmware.receive(b"\xff") == [b"\xff"]


def test_log_toc_info_and_items(firmware):
    info = ask(firmware, 5, 0, b"\x03")
    command, count, _crc, blocks, operations = struct.unpack("<BHIBB", info)
    assert (command, count, blocks, operations) == (3, len(LOG_TOC), 16, 128)
    assert ask(firmware, 5, 0, b"\x02\x00\x00") == b"\x02\x00\x00\x07stateEstimate\x00x\x00"
    assert ask(firmware, 5, 0, struct.pack("<BH", 2, count)) == b"\x02"


def test_log_block_life(firmware):
    index = [name for name, _ in LOG_TOC].index("pm.vbat")
    entry = struct.pack("<BH", 7, index)
    assert ask(firmware, 5, 1, b"\x05") == b"\x05\x00\x00"
    assert ask(firmware, 5, 1, b"\x03\x09\x02") == bytes([3, 9, Errno.ENOENT])
    assert ask(firmware, 5, 1, b"\x06\x09" + entry) == b"\x06\x09\x00"
    assert ask(firmware, 5, 1, b"\x06\x09" + entry) == bytes([6, 9, Errno.EEXIST])
    assert ask(firmware, 5, 1, b"\x07\x09" + 6 * entry) == bytes([7, 9, Errno.E2BIG])
    assert ask(firmware, 5, 1, b"\x06\x0a" + struct.pack("<BH", 7, 999)) == bytes([6, 10, Errno.ENOENT])
    assert ask(firmware, 5, 1, b"\x03\x09\x02") == b"\x03\x09\x00"
    packets = [p for _ in range(50) for p in firmware.advance(5)]
    assert len(packets) == 25  # 0.5 s at 20 ms
    header, block, low, mid, high, volts = struct.unpack("<BBBBBf", packets[0])
    assert (header, block, low | mid << 8 | high << 16) == (0x5E, 9, 20)
    assert volts == pytest.approx(firmware.battery.volts, abs=0.01)
    assert ask(firmware, 5, 1, b"\x04\x09") == b"\x04\x09\x00"
    assert not [p for _ in range(50) for p in firmware.advance(5)]
    assert ask(firmware, 5, 1, b"\x02\x09") == b"\x02\x09\x00"
    assert ask(firmware, 5, 1, b"\x02\x09") == bytes([2, 9, Errno.ENOENT])


def test_log_period_is_at_least_10_ms(firmware):
    ask(firmware, 5, 1, b"\x06\x01" + struct.pack("<BH", 7, 0))
    ask(firmware, 5, 1, b"\x08\x01" + struct.pack("<H", 1))
    assert len([p for _ in range(100) for p in firmware.advance(1)]) == 20


def test_param_toc_read_and_write(firmware):
    assert struct.unpack("<BHI", ask(firmware, 2, 0, b"\x03"))[:2] == (3, len(PARAM_TOC))
    assert ask(firmware, 2, 0, b"\x02\x00\x00") == b"\x02\x00\x00\x08stabilizer\x00estimator\x00"
    assert ask(firmware, 2, 1, b"\x00\x00") == b"\x00\x00\x00\x02"  # id, status, value
    assert ask(firmware, 2, 2, b"\x00\x00\x01") == b"\x00\x00\x01"
    assert ask(firmware, 2, 1, b"\x00\x00") == b"\x00\x00\x00\x01"
    assert ask(firmware, 2, 1, b"\xff\x00") == bytes([0xFF, 0, Errno.ENOENT])
    assert ask(firmware, 2, 3, b"\x08\x00\x00") == b"\x08\x00\x00\x00\x02"


def test_param_set_by_name(firmware):
    head = b"\x00stabilizer\x00controller\x00"
    assert ask(firmware, 2, 3, head + b"\x08\x02") == head + b"\x00"
    assert firmware.params.values["stabilizer.controller"] == 2
    assert ask(firmware, 2, 3, head + b"\x06\x02") == head + bytes([Errno.EINVAL])
    head = b"\x00no\x00such\x00"
    assert ask(firmware, 2, 3, head + b"\x08\x02") == head + bytes([Errno.ENOENT])


def test_read_only_param_keeps_its_value(firmware):
    index = [item.name for item in PARAM_TOC].index("deck.bcFlow2")
    assert ask(firmware, 2, 2, struct.pack("<HB", index, 0)) == struct.pack("<HB", index, 1)


def test_zero_memories(firmware):
    assert ask(firmware, 4, 0, b"\x01") == b"\x01\x00"


def test_supervisor_port(firmware):
    firmware.advance(1)
    assert ask(firmware, 9, 0, b"\x0c") == struct.pack("<BH", 0x8C, 0b10_0000_0001)
    assert ask(firmware, 9, 0, b"\x01") == b"\x81\x01"
    assert ask(firmware, 9, 1, b"\x01\x01") == b"\x81\x01\x01"
    assert ask(firmware, 9, 0, b"\x02") == b"\x82\x01"
    assert ask(firmware, 9, 1, b"\x02") == b"\x82\x01\x01"
    assert firmware.receive(packet(9, 1, b"\x03")) == []


def test_high_level_answers_with_the_error_in_byte_3(firmware):
    takeoff = struct.pack("<BBff?f", 7, 0, 1.0, 0.0, False, 2.0)
    assert ask(firmware, 8, 0, takeoff) == takeoff[:3] + b"\x00"
    for command in (5, 6, 11, 13):  # trajectories and spirals are not simulated
        assert ask(firmware, 8, 0, bytes([command, 0, 0, 0, 0, 0, 0, 0])) == bytes(
            [command, 0, 0, Errno.ENOEXEC]
        )
    assert ask(firmware, 8, 0, b"\x07\x00") == bytes([7, 0, 0, Errno.EINVAL])


@pytest.mark.parametrize(
    ("data", "kind", "values"),
    [
        (b"\x00", Kind.OFF, ()),
        (struct.pack("<Bffff", 8, 0.5, -0.25, 0.125, 180.0), Kind.VELOCITY, (0.5, -0.25, 0.125, 3.14159265)),
        (struct.pack("<Bffff", 10, 0.5, 0.25, -90.0, 1.5), Kind.HOVER, (0.5, 0.25, -1.57079633, 1.5)),
        (struct.pack("<Bffff", 7, 1.0, 2.0, 0.5, 90.0), Kind.POSITION, (1.0, 2.0, 0.5, 1.57079633)),
    ],
)
def test_setpoints_decode(data, kind, values):
    setpoint = decode_setpoint(data)
    assert setpoint.kind is kind and setpoint.values == pytest.approx(values)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\x00",
        struct.pack("<Bffff", 8, float("nan"), 0, 0, 0),
        struct.pack("<Bffff", 99, 0, 0, 0, 0),
    ],
)
def test_what_is_no_setpoint_is_dropped(firmware, data):
    before = firmware.commander.setpoint
    assert firmware.receive(packet(7, 0, data)) == []
    assert firmware.commander.setpoint is before


def test_random_bytes_never_raise(firmware):
    import numpy as np

    rng = np.random.default_rng(1)
    for _ in range(3000):
        firmware.receive(rng.bytes(rng.integers(0, 33)))
    firmware.advance(1)
