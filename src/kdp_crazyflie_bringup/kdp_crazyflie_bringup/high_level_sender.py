# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a high-level command until the firmware has it, then gives up the low-level setpoints.

Low-level setpoints hide the high-level commander, and a high-level commander without a command stops the
motors. So the command goes first, and only its acknowledgement is followed by "notify setpoints stop": the
other way round, one lost packet would stop the motors in the air.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

RESEND_S, MAX_SENDS = 0.1, 5


class HighLevelSender:
    """Holds at most one command that has not been acknowledged.

    Args:
        link: a `CrazyflieLink`.
        report: called with (level, text).
    """

    def __init__(self, link: Any, report: Callable[[str, str], None]) -> None:
        self._link, self._report = link, report
        self._command: Callable[[Any], None] | None = None
        self._sent_s = 0.0
        self._sends = 0

    def send(self, command: Callable[[Any], None], now_s: float) -> None:
        """Send a command; `command` gets cflib's HighLevelCommander. Replaces the one before."""
        self._command, self._sent_s, self._sends = command, now_s, 1
        self._link.high_level(command)

    def forget(self) -> None:
        """Do not send again: low-level setpoints have taken over."""
        self._command = None

    def poll(self, now_s: float) -> None:
        """Look for the acknowledgement; to be called at 20 Hz or faster."""
        if self._command is None:
            return
        answer = self._link.high_level_answer()
        if answer is not None and answer[1] != 0:
            self._command = None
            self._report("error", f"the firmware refused high-level command {answer[0]}: error {answer[1]}")
        elif answer is not None or self._sends >= MAX_SENDS:
            # Without an answer the downlink may be dead and the uplink not: finish what was begun.
            self._command = None
            self._link.notify_setpoints_stop()
        elif now_s - self._sent_s >= RESEND_S:
            self._sent_s, self._sends = now_s, self._sends + 1
            self._link.high_level(self._command)
