"""Starts real processes for tests, on ports and in a ROS domain of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from kdp_so100_bringup.side_channel import SideChannelClient

PATIENCE = 4.0


def free_port():
    """A UDP port that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def process(module, *arguments, env=None):
    """Run a module of the package until the block ends, then interrupt it as Ctrl-C does."""
    child = subprocess.Popen(
        [sys.executable, "-m", f"kdp_so100_bringup.{module}", *map(str, arguments)],
        start_new_session=True,
        env={**os.environ, **(env or {})},
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise


@contextlib.contextmanager
def simulator(folder, *arguments):
    """A running simulated SO-100: yields (its port, a side-channel client)."""
    control_port, link = free_port(), folder / "servos"
    flags = ["--link", link, "--control-port", control_port, *arguments]
    with process("sim_process", *flags), SideChannelClient(("127.0.0.1", control_port)) as side:
        side.truth(timeout_s=20.0 * PATIENCE)
        yield str(link), side


def wait_until(holds, timeout_s, what):
    """Poll `holds` until it is true; fail with `what` otherwise. Returns the seconds it took.

    `timeout_s` is what an idle machine needs with ease; a busy one gets PATIENCE times that.
    """
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < PATIENCE * timeout_s, f"{what}: not within {PATIENCE * timeout_s} s"
        time.sleep(0.005)
    return time.monotonic() - start
