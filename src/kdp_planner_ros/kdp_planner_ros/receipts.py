"""Receipts of setpoints from the simulated robot's side channel (UDP, JSON datagrams).

We send ``{"cmd": "subscribe", "port": N}`` to the channel's control port. For each setpoint packet it then
sends to our port N ``{"receipt_ns": CLOCK_MONOTONIC, "crc": CRC-32 of the packet's data, not its header}``.
Other datagrams on the port (ground truth) only show that the subscription is alive.
"""

import json
import socket

from kdp_core.exceptions import ConfigError

SUBSCRIBE_AGAIN_NS = 2_000_000_000  # nothing heard for so long: the simulator (re)started, ask again


def parse_address(text: str) -> tuple[str, int]:
    """``host:port`` -> (host, port). Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"side_channel '{text}': expected host:port, such as 127.0.0.1:19851")
    return host, int(port)


class ReceiptListener:
    """Non-blocking subscriber; the stamps come with the datagrams, so reading late costs no accuracy."""

    def __init__(self, control: tuple[str, int]) -> None:
        self._control = control
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("", 0))
        self._socket.setblocking(False)
        self._heard_ns = self._asked_ns = -SUBSCRIBE_AGAIN_NS

    def poll(self, now_ns: int) -> list[tuple[int, int]]:
        """All (receipt_ns, crc) since the last call; subscribes when nothing has been heard for a while."""
        receipts = []
        while True:
            try:
                datagram = self._socket.recv(65536)
            except BlockingIOError:
                break
            except ConnectionError:
                continue
            self._heard_ns = now_ns
            if b'"receipt_ns"' not in datagram:
                continue
            try:
                data = json.loads(datagram)
                receipts.append((int(data["receipt_ns"]), int(data["crc"])))
            except (ValueError, KeyError, TypeError):
                continue  # not ours to judge: anything may arrive on a UDP port
        if now_ns - max(self._heard_ns, self._asked_ns) >= SUBSCRIBE_AGAIN_NS:
            self._asked_ns = now_ns
            request = {"cmd": "subscribe", "port": self._socket.getsockname()[1]}
            self._socket.sendto(json.dumps(request).encode(), self._control)
        return receipts

    def close(self) -> None:
        """Release the port."""
        self._socket.close()
