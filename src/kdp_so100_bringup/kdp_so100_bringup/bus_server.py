"""The thread between pseudo-terminal and simulated servos."""

from __future__ import annotations

import select
import threading
import time

from kdp_so100_bringup.bus_wire import Wire, WireQuality
from kdp_so100_bringup.feetech_protocol import FrameReader
from kdp_so100_bringup.pty_port import PtyPort
from kdp_so100_bringup.servo_bus import ServoBus

IDLE_S = 0.02
"""Longest wait: how soon a pulled cable and the end are noticed."""
FRAME_GAP_S = 0.05
"""A frame whose rest does not come within this is forgotten."""


class BusServer:
    """Serves the port in a thread of its own. Servos are touched under `lock` only, and briefly.

    Attributes:
        plugged: set it to pull the cable (False) or put it back (True).
        frames: how many instruction frames the servos have got.
    """

    def __init__(self, port: PtyPort, bus: ServoBus, lock: threading.Lock, wire: Wire) -> None:
        self.plugged = True
        self.frames = 0
        self._port, self._bus, self._lock, self._wire = port, bus, lock, wire
        self._reader = FrameReader()
        self._running = True
        self._thread = threading.Thread(target=self._serve, name="bus", daemon=True)
        self._thread.start()

    @property
    def quality(self) -> WireQuality:
        """What the wire does to frames."""
        return self._wire.quality

    @quality.setter
    def quality(self, quality: WireQuality) -> None:
        self._wire.quality = quality

    @property
    def wrong_checksums(self) -> int:
        """How many of the host's frames arrived with a wrong checksum."""
        return self._reader.wrong_checksums

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop serving and take the port away."""
        self._running = False
        self._thread.join(2.0)
        self._port.unplug()

    def _serve(self) -> None:
        heard = 0.0
        while self._running:
            self._cable()
            wait = min(max(self._wire.next_due_s() - time.monotonic(), 0.0), IDLE_S)
            if self._port.fd < 0:
                time.sleep(IDLE_S)
                continue
            readable, _, _ = select.select([self._port.fd], [], [], wait)
            now = time.monotonic()
            if readable and (data := self._port.read()):
                if self._reader.waiting and now - heard > FRAME_GAP_S:
                    self._reader.clear()
                heard = now
                for frame in self._reader.feed(self._wire.corrupt(data)):
                    self._wire.send(frame, now)
            self._deliver(now)

    def _deliver(self, now: float) -> None:
        """Hand on what has arrived, to the servos and to the host."""
        while (arrival := self._wire.arrived(now)) is not None:
            at_s, frame = arrival
            with self._lock:
                replies = self._bus.execute(frame, self._port.baud_code)
            self.frames += 1
            self._wire.answer(replies, at_s)
        for data in self._wire.received(now):
            self._port.write(data)

    def _cable(self) -> None:
        if self.plugged != (self._port.fd >= 0):
            self._wire.clear()
            self._reader.clear()
            if self.plugged:
                self._port.plug()
            else:
                self._port.unplug()
