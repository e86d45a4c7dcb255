"""Packets against the bytes of the protocol documentation, and the quaternion against cflib's own code."""

import numpy as np
import pytest
from cflib.utils.encoding import compress_quaternion as cflib_compress
from cflib.utils.encoding import decompress_quaternion as cflib_decompress

from kdp_crazyflie_bringup.crtp import compress_quaternion, decompress_quaternion, packet, split


def test_header_byte_is_port_reserved_bits_channel():
    assert packet(7, 0, b"\x08") == b"\x7c\x08"
    assert packet(5, 2) == b"\x5e"
    assert split(b"\x5e\x01\x02") == (5, 2, b"\x01\x02")


def test_data_longer_than_30_bytes_is_refused():
    assert len(packet(5, 2, bytes(30))) == 31
    with pytest.raises(ValueError, match="31 bytes"):
        packet(5, 2, bytes(31))


def test_quaternion_agrees_with_cflib_both_ways():
    rng = np.random.default_rng(0)
    for _ in range(200):
        q = rng.standard_normal(4)
        q /= np.linalg.norm(q)
        packed = compress_quaternion(q)
        assert packed == cflib_compress(q)
        ours = np.array(decompress_quaternion(packed))
        np.testing.assert_allclose(ours, cflib_decompress(packed), atol=1e-9)
        assert 1 - abs(ours @ q) < 1e-5  # the same rotation, up to sign
