"""Delay, jitter, loss and freezing of one direction of the link."""

import pytest

from kdp_core.exceptions import ConfigError
from kdp_crazyflie_bringup.link_faults import DelayLine, LinkQuality


def test_delay_and_jitter_keep_the_order():
    line = DelayLine(0)
    line.quality = LinkQuality(delay_ms=10, jitter_ms=30)
    packets = [bytes([i]) for i in range(100)]
    for i, p in enumerate(packets):
        line.put(p, 0.001 * i)
    assert line.take(0.0099) == []
    assert line.take(1.0) == packets


def test_loss_is_about_as_asked_and_seeded():
    def survivors(seed):
        line = DelayLine(seed)
        line.quality = LinkQuality(loss=0.3)
        for i in range(1000):
            line.put(i.to_bytes(2, "little"), 0.0)
        return line.take(0.0)

    assert 630 < len(survivors(1)) < 770
    assert survivors(1) == survivors(1) != survivors(2)


def test_frozen_link_loses_packets():
    line = DelayLine(0)
    line.put(b"before", 0.0)
    line.frozen_until_s = 2.0
    line.put(b"during", 1.0)
    assert line.take(1.0) == []
    line.put(b"after", 2.0)
    assert line.take(2.0) == [b"after"]


@pytest.mark.parametrize("wrong", [{"loss": 1.5}, {"delay_ms": -1}, {"jitter_ms": float("nan")}])
def test_impossible_links_are_refused(wrong):
    with pytest.raises(ConfigError, match="link: "):
        LinkQuality(**wrong)
