"""When the state of each stamp was received, so that a driver can time the command that answers it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class ReceiptBook:
    """Remembers when the state of each stamp was received, for the last `size` states."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._received: OrderedDict[tuple[int, int], int] = OrderedDict()

    def put(self, stamp: Any, received_ns: int) -> None:
        """Remember one state; called from the receiving thread."""
        self._received[(stamp.sec, stamp.nanosec)] = received_ns
        if len(self._received) > self._size:
            self._received.popitem(last=False)

    def get(self, stamp: Any) -> int:
        """Return the CLOCK_MONOTONIC receipt of the state with this stamp, 0 if unknown."""
        return self._received.get((stamp.sec, stamp.nanosec), 0)
