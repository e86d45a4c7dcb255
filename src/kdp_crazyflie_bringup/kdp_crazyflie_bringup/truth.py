# SPDX-License-Identifier: GPL-3.0-or-later
"""Listener on the simulated Crazyflie's side channel: ground truth and receipts, for scoring only.

Nothing here is seen by planner or driver. Truth arrives at 50 Hz; the record of one flight stays in memory.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdp_core.exceptions import KdpError
from kdp_crazyflie_bringup.side_channel import MAX_DATAGRAM, decode, encode

ASK_AGAIN_S = 1.0  # nothing heard for so long: the simulator (re)started, subscribe again


@dataclass(frozen=True)
class Truth:
    """State of the simulated drone.

    Attributes:
        t_ns: CLOCK_MONOTONIC.
        position, velocity: (3,) m and m/s, world.
        collided, outside: touched a pole; left the fence. Both stay true until the next reset.
        locked: the firmware needs a reboot.
        flying: in the air.
        seed: of the world, None when it was given as an arena.
    """

    t_ns: int
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    collided: bool
    outside: bool
    locked: bool
    flying: bool
    seed: int | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Truth:
        """Parse one datagram; KeyError, TypeError or ValueError when it is not one."""
        return cls(
            t_ns=int(data["t_ns"]),
            position=np.array(data["position"], dtype=np.float64).reshape(3),
            velocity=np.array(data["velocity"], dtype=np.float64).reshape(3),
            collided=bool(data["collided"]),
            outside=bool(data["outside"]),
            locked=bool(data["locked"]),
            flying=bool(data["flying"]),
            seed=data["seed"],
        )


class TruthListener:
    """Subscribes in a thread of its own and keeps what arrives."""

    def __init__(
        self, control: tuple[str, int], on_receipt: Callable[[int, int], None] | None = None
    ) -> None:
        """Listen to the simulator whose control port is `control`; `on_receipt` gets (receipt_ns, crc)."""
        self._control = control
        self._on_receipt = on_receipt
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self._condition = threading.Condition()
        self._record: list[Truth] = []
        self._latest: Truth | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="truth", daemon=True)
        self._thread.start()

    @property
    def latest(self) -> Truth | None:
        """The newest truth."""
        return self._latest

    def start_record(self) -> None:
        """Forget the record and start a new one."""
        with self._condition:
            self._record = []

    def record(self) -> list[Truth]:
        """Everything since `start_record`."""
        with self._condition:
            return list(self._record)

    def wait_for(
        self,
        what: str,
        holds: Callable[[Truth], bool],
        timeout_s: float,
        check: Callable[[], None] = lambda: None,
    ) -> Truth:
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
                where = f"last at {np.round(truth.position, 2).tolist()} m" if truth else "no truth received"
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
        truth = Truth.from_json(data)
        with self._condition:
            self._latest = truth
            self._record.append(truth)
            self._condition.notify_all()
