# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing in a thread of its own: a stopped subscriber may block `publish`, and must block nothing else.

DDS over shared memory waits for a lock that a stopped process may hold. The thread that receives the robot's
packets and the one that watches over the flight only leave their newest message here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class NewestPublisher:
    """Runs the newest `keep` actions of each kind; older ones that had to wait are dropped.

    Args:
        failed: called with the error of an action, from this thread.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._ready = threading.Condition()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def put(self, kind: str, action: Callable[[], None], keep: int = 1) -> None:
        """Leave an action to run; returns at once."""
        with self._ready:
            self._waiting.setdefault(kind, deque(maxlen=keep)).append(action)
            self._ready.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """Run what waits and end; an action that is blocked is left behind after timeout_s."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._ready:
                while not self._waiting and not self._closed:
                    self._ready.wait()
                if not self._waiting:
                    return
                kind = next(iter(self._waiting))
                actions = self._waiting.pop(kind)
                action = actions.popleft()
                if actions:
                    self._waiting[kind] = actions  # behind the other kinds
            try:
                action()
            except Exception as error:  # such as a context that a signal has shut down
                self._failed(error)
