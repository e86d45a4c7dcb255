"""The pseudo-terminal: link, baud rate, a pulled cable."""

import os
import select

import pytest
import serial

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup.pty_port import PtyPort


@pytest.fixture
def port(tmp_path):
    port = PtyPort(tmp_path / "servos")
    yield port
    port.unplug()


def arrived(port):
    readable, _, _ = select.select([port.fd], [], [], 5.0)
    assert readable
    return port.read()


def test_bytes_go_both_ways_unchanged(port, tmp_path):
    every_byte = bytes(range(256))
    with serial.Serial(str(tmp_path / "servos"), 1_000_000, timeout=5) as host:
        host.write(every_byte)
        assert arrived(port) == every_byte
        port.write(every_byte)
        assert host.read(256) == every_byte
    assert port.read() == b""  # the host has left, and nothing breaks


@pytest.mark.parametrize(("rate", "code"), [(1_000_000, 0), (500_000, 1), (115_200, 4), (9600, None)])
def test_the_hosts_baud_rate_is_seen(port, tmp_path, rate, code):
    with serial.Serial(str(tmp_path / "servos"), rate):
        assert port.baud_code == code


def test_a_pulled_cable_hangs_up_and_takes_the_link_away(port, tmp_path):
    link = tmp_path / "servos"
    with serial.Serial(str(link), 1_000_000, timeout=0) as host:
        port.unplug()
        assert port.fd == -1 and not link.is_symlink()
        with pytest.raises((serial.SerialException, OSError)):
            host.write(b"\xff")
    port.plug()
    assert os.readlink(link) == port.name
    with serial.Serial(str(link), 1_000_000, timeout=5) as host:
        port.write(b"again")
        assert host.read(5) == b"again"


def test_a_link_of_before_is_replaced_and_anything_else_is_kept(tmp_path):
    link = tmp_path / "servos"
    link.symlink_to("/nowhere")
    port = PtyPort(link)
    assert os.readlink(link) == port.name
    port.unplug()
    link.write_text("precious")
    with pytest.raises(ConfigError, match="no symbolic link"):
        PtyPort(link)
    assert link.read_text() == "precious"


def test_a_link_that_cannot_be_made_is_one_clear_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot make the link"):
        PtyPort(tmp_path / "missing" / "servos")


def test_a_host_that_does_not_read_loses_bytes_and_blocks_nobody(port):
    for _ in range(100):
        port.write(bytes(1000))
