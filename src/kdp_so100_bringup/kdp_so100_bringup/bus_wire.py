"""The way between host and servos: USB delay, time on the wire, wrong checksums, noise."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup.feetech_protocol import BITS_PER_BYTE, Frame
from kdp_so100_bringup.servo_bus import Reply


@dataclass(frozen=True)
class WireQuality:
    """What the way does to frames.

    Attributes:
        baud: of the wire, bit/s; 0: no time passes.
        usb_delay_ms: of the USB adapter, each way.
        checksum_rate: share of the servos' answers whose checksum is wrong.
        noise_rate: share of bytes, both ways, that arrive with flipped bits.
    """

    baud: int = 1_000_000
    usb_delay_ms: float = 1.0
    checksum_rate: float = 0.0
    noise_rate: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no wire."""
        if self.baud < 0:
            raise ConfigError(f"wire: baud must not be negative, got {self.baud}")
        if not 0 <= self.usb_delay_ms <= 1000:
            raise ConfigError(f"wire: usb_delay_ms must be 0 to 1000, got {self.usb_delay_ms}")
        for name in ("checksum_rate", "noise_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"wire: {name} must be 0 to 1, got {getattr(self, name)}")

    def seconds(self, n_bytes: int) -> float:
        """Return how long bytes take on the wire."""
        return n_bytes * BITS_PER_BYTE / self.baud if self.baud else 0.0


class Wire:
    """One half-duplex wire: one frame at a time, in the order of arrival.

    Times are seconds on the caller's clock.

    Args:
        seed: of noise and wrong checksums.
    """

    def __init__(self, seed: int = 0) -> None:
        self.quality = WireQuality()
        self._rng = random.Random(seed)
        self._free_s = -math.inf
        self._towards_servos: deque[tuple[float, Frame]] = deque()
        self._towards_host: deque[tuple[float, bytes]] = deque()

    def corrupt(self, data: bytes) -> bytes:
        """Return bytes as they arrive: some with flipped bits."""
        rate = self.quality.noise_rate
        if rate <= 0:
            return data
        flips = (self._rng.randrange(1, 256) if self._rng.random() < rate else 0 for _ in data)
        return bytes(byte ^ flip for byte, flip in zip(data, flips, strict=True))

    def send(self, frame: Frame, now_s: float) -> None:
        """Put an instruction frame that the host hands over now on its way."""
        start = max(now_s + self.quality.usb_delay_ms / 1000, self._free_s)
        self._free_s = start + self.quality.seconds(len(frame.parameters) + 6)
        self._towards_servos.append((self._free_s, frame))

    def answer(self, replies: Sequence[Reply], at_s: float) -> None:
        """Put the servos' answers to the frame that ended at `at_s` on their way, one after the other."""
        end, data = at_s, b""
        for reply in replies:
            frame = reply.frame
            if self._rng.random() < self.quality.checksum_rate:
                frame = frame[:-1] + bytes([frame[-1] ^ self._rng.randrange(1, 256)])
            end += reply.delay_s + self.quality.seconds(len(frame))
            data += frame
        self._free_s = max(self._free_s, end)
        if data:
            self._towards_host.append((end + self.quality.usb_delay_ms / 1000, self.corrupt(data)))

    def arrived(self, now_s: float) -> tuple[float, Frame] | None:
        """Return the next frame that has reached the servos and when, None if there is none yet."""
        if self._towards_servos and self._towards_servos[0][0] <= now_s:
            return self._towards_servos.popleft()
        return None

    def received(self, now_s: float) -> list[bytes]:
        """Return the answers that have reached the host."""
        data = []
        while self._towards_host and self._towards_host[0][0] <= now_s:
            data.append(self._towards_host.popleft()[1])
        return data

    def next_due_s(self) -> float:
        """Return when the next thing arrives anywhere; infinity if nothing is under way."""
        queues = (self._towards_servos, self._towards_host)
        return min((queue[0][0] for queue in queues if queue), default=math.inf)

    def clear(self) -> None:
        """Lose everything that is under way."""
        self._towards_servos.clear()
        self._towards_host.clear()
