# SPDX-License-Identifier: GPL-3.0-or-later
"""Injectable faults of one direction of a packet link: delay, jitter, loss and freezing."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from kdp_core.exceptions import ConfigError


@dataclass(frozen=True)
class LinkQuality:
    """Faults of a link, the same in both directions.

    Attributes:
        delay_ms: added to every packet.
        jitter_ms: width of a uniform delay on top.
        loss: probability that a packet is dropped, 0 to 1.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a link."""
        for name in ("delay_ms", "jitter_ms"):
            if not 0 <= getattr(self, name) <= 10_000:
                raise ConfigError(f"link: {name} must be 0 to 10000, got {getattr(self, name)}")
        if not 0 <= self.loss <= 1:
            raise ConfigError(f"link: loss must be 0 to 1, got {self.loss}")


class DelayLine:
    """Packets in flight in one direction. Order is kept, as on the radio, whatever the jitter."""

    def __init__(self, seed: int) -> None:
        self.quality = LinkQuality()
        self.frozen_until_s = 0.0
        self._rng = random.Random(seed)
        self._queue: deque[tuple[float, bytes]] = deque()

    def put(self, datagram: bytes, now_s: float) -> None:
        """Send a packet; it may be lost here."""
        if now_s < self.frozen_until_s or self._rng.random() < self.quality.loss:
            return
        due = now_s + (self.quality.delay_ms + self._rng.random() * self.quality.jitter_ms) / 1000
        if self._queue:
            due = max(due, self._queue[-1][0])
        self._queue.append((due, datagram))

    def take(self, now_s: float) -> list[bytes]:
        """Return the packets that have arrived."""
        arrived = []
        while self._queue and self._queue[0][0] <= now_s:
            arrived.append(self._queue.popleft()[1])
        return arrived if now_s >= self.frozen_until_s else []

    def next_due_s(self) -> float | None:
        """Return when the next packet arrives, None if nothing is in flight."""
        return self._queue[0][0] if self._queue else None
