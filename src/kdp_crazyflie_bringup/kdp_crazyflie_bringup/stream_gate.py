# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of commands belongs to the flight in which it began: the next flight does not follow it."""

from __future__ import annotations

PAUSE_S = 0.5  # silence that ends a stream; a planner is never late by so much


class StreamGate:
    """Tells a stream of commands that goes on after a landing from one that begins after it."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._landings = 0

    def admits(self, now_s: float, landings: int) -> bool:
        """Return whether a command that came now would be taken; landings: how many there were so far."""
        return self._begins(now_s) or self._landings == landings

    def arrived(self, now_s: float, landings: int) -> bool:
        """Note a command, taken or not, and return whether the gate lets it through."""
        if self._begins(now_s):
            self._landings = landings
        self._last_s = now_s
        return self._landings == landings

    def _begins(self, now_s: float) -> bool:
        return self._last_s is None or now_s - self._last_s >= PAUSE_S
