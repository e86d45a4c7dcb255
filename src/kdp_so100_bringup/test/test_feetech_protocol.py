"""Frames against the worked examples of Feetech's protocol manual, and the reader against bad streams."""

import random

import pytest

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup import feetech_protocol as protocol
from kdp_so100_bringup.feetech_protocol import BROADCAST_ID, Frame, FrameReader, Instruction

GOAL = bytes.fromhex("00 08 00 00 E8 03")  # position 2048, time 0, speed 1000

MANUAL = {
    "1: ping": (protocol.ping(1), "FF FF 01 02 01 FB"),
    "2: read the position": (protocol.read(1, 0x38, 2), "FF FF 01 04 02 38 02 BE"),
    "3: write the id to all": (protocol.write(BROADCAST_ID, 5, b"\x01"), "FF FF FE 04 03 05 01 F4"),
    "4: write a goal": (protocol.write(1, 0x2A, GOAL), "FF FF 01 09 03 2A 00 08 00 00 E8 03 D5"),
    "5: register a goal": (protocol.reg_write(10, 0x2A, GOAL), "FF FF 0A 09 04 2A 00 08 00 00 E8 03 CB"),
    "6: action": (protocol.action(), "FF FF FE 02 05 FA"),
    "7: sync write": (
        protocol.sync_write(0x2A, dict.fromkeys((1, 2, 3, 4), GOAL)),
        "FF FF FE 20 83 2A 06 01 00 08 00 00 E8 03 02 00 08 00 00 E8 03 03 00 08 00 00 E8 03 "
        "04 00 08 00 00 E8 03 58",
    ),
    "8: sync read": (protocol.sync_read(0x38, 8, (1, 2)), "FF FF FE 06 82 38 08 01 02 36"),
    "9: reset": (Frame(1, Instruction.RESET).encode(), "FF FF 01 02 0A F2"),
    "10: calibrate": (Frame(1, Instruction.CALIBRATE).encode(), "FF FF 01 02 0B F1"),
    "11: calibrate to 1024": (
        Frame(1, Instruction.CALIBRATE, b"\x00\x04").encode(),
        "FF FF 01 04 0B 00 04 EB",
    ),
    "1: answer": (Frame(1, 0).encode(), "FF FF 01 02 00 FC"),
    "2: answer": (Frame(1, 0, b"\x18\x05").encode(), "FF FF 01 04 00 18 05 DD"),
}


@pytest.mark.parametrize("example", MANUAL)
def test_frames_are_those_of_the_manual(example):
    made, expected = MANUAL[example]
    assert made.hex(" ").upper() == expected


def test_the_manuals_sync_read_answers_are_read():
    stream = "FF FF 01 0A 00 00 08 00 00 00 00 79 1E 55 FF FF 02 0A 00 FF 07 00 00 00 00 77 23 53"
    first, second = FrameReader().feed(bytes.fromhex(stream))
    assert first == Frame(1, 0, bytes.fromhex("00 08 00 00 00 00 79 1E"))
    assert second == Frame(2, 0, bytes.fromhex("FF 07 00 00 00 00 77 23"))


def test_a_sync_write_comes_apart_as_it_was_put_together():
    data = {4: b"\x01\x02", 2: b"\x03\x04"}
    (frame,) = FrameReader().feed(protocol.sync_write(42, data))
    assert protocol.split_sync_write(frame.parameters) == (42, data)


@pytest.mark.parametrize("parameters", [b"", b"\x2a", b"\x2a\x02\x01\x00"])
def test_a_sync_write_that_does_not_divide_is_refused(parameters):
    with pytest.raises(ConfigError, match="do not divide"):
        protocol.split_sync_write(parameters)


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(ConfigError, match="same number of bytes"):
        protocol.sync_write(42, {1: b"\0", 2: b"\0\0"})
    with pytest.raises(ConfigError, match="does not fit"):
        protocol.ping(255)
    with pytest.raises(ConfigError, match="at most 250"):
        protocol.write(1, 0, bytes(250))


def test_frames_are_found_however_the_stream_is_cut():
    random_bytes = random.Random(3)
    frames = [
        Frame(random_bytes.randrange(254), random_bytes.randrange(128), random_bytes.randbytes(i % 9))
        for i in range(60)
    ]
    stream = b"".join(frame.encode() for frame in frames)
    reader, found = FrameReader(), []
    while stream:
        size = random_bytes.randrange(1, 12)
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == frames and reader.wrong_checksums == 0 and not reader.waiting


@pytest.mark.parametrize(
    "noise", ["FF", "00 FF 12", "FF FF FF", "FF FF 01 00", "FF FF 01 FF", "FF FF FF FF 07"]
)
def test_noise_in_front_does_not_hide_a_frame(noise):
    assert FrameReader().feed(bytes.fromhex(noise) + protocol.ping(3)) == [Frame(3, Instruction.PING)]


def test_a_wrong_checksum_drops_one_frame_and_no_more():
    broken = bytearray(protocol.read(1, 56, 2))
    broken[-1] ^= 0x10
    reader = FrameReader()
    assert reader.feed(bytes(broken) + protocol.ping(2)) == [Frame(2, Instruction.PING)]
    assert reader.wrong_checksums == 1


def test_a_part_of_a_frame_waits_and_can_be_forgotten():
    reader = FrameReader()
    assert reader.feed(protocol.ping(1)[:4]) == [] and reader.waiting
    reader.clear()
    assert reader.feed(protocol.ping(2)) == [Frame(2, Instruction.PING)]
