"""Starts real processes for tests, on ports and in a ROS domain of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from kdp_crazyflie_bringup.side_channel import SideChannelClient

PATIENCE = 4.0


def free_ports(count):
    """UDP ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)
        ]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]


@contextlib.contextmanager
def process(module, *arguments, env=None):
    """Run a module (of this package, or with its package's name) until the block ends, then interrupt it."""
    name = module if "." in module else f"kdp_crazyflie_bringup.{module}"
    child = subprocess.Popen(
        [sys.executable, "-m", name, *arguments],
        start_new_session=True,
        env={**os.environ, **(env or {})},
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise


@contextlib.contextmanager
def simulator(*arguments):
    """A running simulated Crazyflie: yields (its uri, a side-channel client)."""
    port, control_port = free_ports(2)
    flags = ["--port", str(port), "--control-port", str(control_port), *arguments]
    with process("sim_process", *flags), SideChannelClient(("127.0.0.1", control_port)) as side:
        side.truth(timeout_s=20.0 * PATIENCE)
        yield f"udp://127.0.0.1:{port}", side


def wait_until(holds, timeout_s, what):
    """Poll `holds` until it is true; fail with `what` otherwise. Returns the seconds it took.

    `timeout_s` is what an idle machine needs with ease; a busy one gets PATIENCE times that.
    """
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < PATIENCE * timeout_s, f"{what}: not within {PATIENCE * timeout_s} s"
        time.sleep(0.005)
    return time.monotonic() - start
