"""Listener on a simulated robot's side channel: ground truth and receipts, for scoring only.

Nothing here is seen by planner or driver. The record of one run stays in memory.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from kdp_core.exceptions import KdpError
from kdp_planner_ros.side_channel import MAX_DATAGRAM, decode, encode

ASK_AGAIN_S = 1.0  # nothing heard for so long: the simulator (re)started, subscribe again

T = TypeVar("T")


class TruthListener(Generic[T]):
    """Subscribes in a thread of its own and keeps what arrives."""

    def __init__(
        self,
        control: tuple[str, int],
        parse: Callable[[dict[str, Any]], T],
        on_receipt: Callable[[int, int], None] | None = None,
    ) -> None:
        """Listen to the simulator whose control port is `control`.

        Args:
            control: host and port.
            parse: makes a truth of a datagram; KeyError, TypeError or ValueError when it is none. The truth's
                text says where the robot is.
            on_receipt: gets (receipt_ns, crc).
        """
        self._control, self._parse = control, parse
        self._on_receipt = on_receipt
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._condition = threading.Condition()
        self._record: list[T] = []
        self._latest: T | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="truth", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> T | None:
        """The newest truth."""
        return self._latest

    def start_record(self) -> None:
        """Forget the record and start a new one."""
        with self._condition:
            self._record = []

    def record(self) -> list[T]:
        """Everything since `start_record`."""
        with self._condition:
            return list(self._record)

    def wait_for(
        self,
        what: str,
        holds: Callable[[T], bool],
        timeout_s: float,
        check: Callable[[], None] = lambda: None,
    ) -> T:
        """Wait until `holds(truth)`; `check` may raise. KdpError names `what` after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._condition:
                self._condition.wait(0.1)
                truth = self._latest
            if truth is not None and holds(truth):
                return truth
            check()
            if time.monotonic() > deadline:
                where = "no truth received" if truth is None else str(truth)
                raise KdpError(f"no {what} within {timeout_s:g} s ({where})")

    def close(self) -> None:
        """Stop listening."""
        self._closing = True
        self._thread.join(2.0)
        self._socket.close()

    def _listen(self) -> None:
        heard = 0.0
        while not self._closing:
            if time.monotonic() - heard > ASK_AGAIN_S:
                heard = time.monotonic()
                request = {"cmd": "subscribe", "port": self._socket.getsockname()[1]}
                self._socket.sendto(encode(request), self._control)
            try:
                data = decode(self._socket.recv(MAX_DATAGRAM))
                heard = time.monotonic()
                self._take(data)
            except TimeoutError:
                continue
            except ConnectionError:  # the simulator is not up yet
                time.sleep(0.05)
            except (
                KdpError,
                ValueError,
                KeyError,
                TypeError,
            ):  # replies, and what else may arrive on UDP
                continue

    def _take(self, data: dict[str, Any]) -> None:
        if "receipt_ns" in data:
            if self._on_receipt is not None:
                self._on_receipt(int(data["receipt_ns"]), int(data["crc"]))
            return
        truth = self._parse(data)
        with self._condition:
            self._latest = truth
            self._record.append(truth)
            self._condition.notify_all()
