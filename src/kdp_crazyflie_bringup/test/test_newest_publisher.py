# SPDX-License-Identifier: GPL-3.0-or-later
"""A publish that blocks must not block whoever has something to publish."""

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from processes import wait_until

from kdp_crazyflie_bringup.newest_publisher import NewestPublisher


def test_a_blocked_publish_delays_nobody_and_the_newest_wins():
    go, done, errors = threading.Event(), [], []
    publisher = NewestPublisher(errors.append)
    publisher.put("state", go.wait)  # a subscriber that is stopped
    time.sleep(0.05)
    start = time.monotonic()
    for i in range(1000):
        publisher.put("state", lambda i=i: done.append(("state", i)))
        publisher.put("timing", lambda i=i: done.append(("timing", i)), keep=3)
    assert time.monotonic() - start < 1.0 and not done
    go.set()
    wait_until(lambda: len(done) == 4, 2.0, "the newest of each kind")
    assert sorted(done) == [("state", 999), ("timing", 997), ("timing", 998), ("timing", 999)]
    publisher.close()
    assert not errors


def test_it_is_handed_over_at_once():
    publisher, late = NewestPublisher(lambda _: None), []
    for _ in range(50):
        published = threading.Event()
        start = time.monotonic_ns()
        publisher.put("state", published.set)
        assert published.wait(2.0)
        late.append(time.monotonic_ns() - start)
        time.sleep(0.002)
    assert sorted(late)[25] < 2_000_000  # ns; the median on an idle machine is below 0.1 ms
    publisher.close()


def test_an_error_does_not_end_the_thread_and_closing_does_not_wait_for_a_blocked_one():
    errors, go = [], threading.Event()
    publisher = NewestPublisher(errors.append)

    def fail():
        raise RuntimeError("context is not valid")

    publisher.put("state", fail)
    wait_until(lambda: errors, 2.0, "error reported")
    publisher.put("status", go.wait)
    time.sleep(0.05)
    start = time.monotonic()
    publisher.close(0.1)
    assert time.monotonic() - start < 1.0
    go.set()
