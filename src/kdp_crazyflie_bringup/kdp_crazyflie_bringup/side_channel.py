# SPDX-License-Identifier: GPL-3.0-or-later
"""Side channel of the simulated Crazyflie: control and ground truth, never seen by planner or driver.

Datagrams of JSON on UDP port 19851. Each command gets one reply ``{"ok": true, ...}`` or
``{"ok": false, "error": "one line"}``. A command may carry an ``id``, which the reply repeats; sent
again with the same id it is answered again and not executed again:

=========================================================== ==================================================
``{"cmd": "reset", "seed": S, "poles": P}``                 new world, drone on the ground below the start;
                                                            replies with ``arena`` and ``seed``
``{"cmd": "reset", "arena": {...}}``                        as above with a given `kdp_core.sim.arena.Arena`
``{"cmd": "freeze", "seconds": s}``                         packets are lost both ways for s seconds
``{"cmd": "link", "delay_ms": d, "jitter_ms": j, "loss": p}`` faults of the link, both ways
``{"cmd": "battery", "volts": v}``                          set the measured battery voltage
``{"cmd": "subscribe", "port": N}``                         send truth and receipts to port N of the caller
``{"cmd": "status"}``                                       replies with truth and the link's faults
``{"cmd": "quit"}``                                         stop the process
=========================================================== ==================================================

Subscribers get, at 50 Hz, ``{"type": "truth", "t_ns", "position", "velocity", "quaternion", "collided",
"outside", "locked", "flying", "armed", "battery_v", "seed"}`` (m, m/s, x y z w; collided and outside are kept
until the next reset) and, for each setpoint packet that reaches the firmware, ``{"type": "receipt",
"receipt_ns", "crc"}`` with CLOCK_MONOTONIC nanoseconds and the CRC-32 of the data without header.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from kdp_core.exceptions import ConfigError

CRTP_PORT = 19850
CONTROL_PORT = 19851
MAX_DATAGRAM = 65507


def encode(message: dict[str, Any]) -> bytes:
    """Return the datagram of a message."""
    return json.dumps(message, separators=(",", ":")).encode()


def decode(datagram: bytes) -> dict[str, Any]:
    """Return the message of a datagram.

    Raises:
        ConfigError: if it is not a JSON object.
    """
    try:
        message = json.loads(datagram)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"side channel: not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ConfigError("side channel: a message must be a JSON object")
    return message


class SideChannelClient:
    """Sends commands to a simulated Crazyflie and receives its truth and receipts.

    Args:
        address: host and control port of the simulator.
    """

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", CONTROL_PORT)) -> None:
        self.address = address
        self._id = 0
        self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream.bind(("127.0.0.1", 0))

    def close(self) -> None:
        """Close the sockets."""
        self._control.close()
        self._stream.close()

    def __enter__(self) -> SideChannelClient:
        """Return self."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the sockets."""
        self.close()

    def request(self, cmd: str, timeout_s: float = 2.0, **arguments: Any) -> dict[str, Any]:
        """Send one command and return the reply.

        Raises:
            TimeoutError: no reply came.
            ConfigError: the simulator refused the command.
        """
        deadline = time.monotonic() + timeout_s
        self._id += 1
        datagram = encode({"cmd": cmd, "id": self._id, **arguments})
        while (left := deadline - time.monotonic()) > 0:
            self._control.sendto(datagram, self.address)
            self._control.settimeout(min(left, 0.5))
            try:
                while (reply := decode(self._control.recv(MAX_DATAGRAM))).get("id") != self._id:
                    pass  # a late answer to an earlier request
            except (TimeoutError, ConnectionError):
                continue
            if not reply.get("ok"):
                raise ConfigError(str(reply.get("error", "refused")))
            return reply
        raise TimeoutError(f"no simulated Crazyflie answers on {self.address[0]}:{self.address[1]}")

    def subscribe(self) -> None:
        """Ask for truth and receipts; read them with `receive`."""
        self.request("subscribe", port=self._stream.getsockname()[1])

    def receive(self, timeout_s: float = 1.0) -> dict[str, Any] | None:
        """Return the next truth or receipt message, None if none came in time."""
        self._stream.settimeout(max(timeout_s, 1e-3))
        try:
            return decode(self._stream.recv(MAX_DATAGRAM))
        except (TimeoutError, ConnectionError):
            return None

    def truth(self, timeout_s: float = 2.0) -> dict[str, Any]:
        """Return the present truth."""
        return dict(self.request("status", timeout_s)["truth"])
