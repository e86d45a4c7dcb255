"""Client of a simulated robot's side channel: JSON datagrams, control one way, truth and receipts the other.

Each command gets one reply ``{"ok": true, ...}`` or ``{"ok": false, "error": "one line"}``; it carries an
``id``, which the reply repeats, so that asking again is safe. The bringups say which commands there are.
"""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Self

from kdp_core.exceptions import ConfigError

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
    """Sends commands to a simulated robot and receives its truth and receipts.

    Args:
        address: host and control port of the simulator.
    """

    robot = "simulated robot"

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self._id = 0
        self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stream.bind(("127.0.0.1", 0))

    def close(self) -> None:
        """Close the sockets."""
        self._control.close()
        self._stream.close()

    def __enter__(self) -> Self:
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
        raise TimeoutError(f"no {self.robot} answers on {self.address[0]}:{self.address[1]}")

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
