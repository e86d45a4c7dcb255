"""One driver per serial port: two on one bus would take each other's answers and move the arm to and fro."""

from __future__ import annotations

import contextlib
import fcntl
import os

from kdp_so100_bringup.arm_bus import CableGone


class PortBusy(CableGone):
    """Another program has the port."""

    fault = "port_busy"


class PortLock:
    """The lock that pyserial's `exclusive` takes, too (flock); the kernel frees it when its owner dies.

    It lies on a file descriptor of its own, because lerobot gives no way to open the port with it.
    """

    def __init__(self, port: str) -> None:
        self._port, self._fd = port, -1

    def take(self) -> None:
        """Lock the port. Raises PortBusy or, if the port cannot be opened, CableGone."""
        self.release()
        try:
            self._fd = os.open(self._port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise PortBusy(f"{self._port} is in use by another program (a second driver?)") from None
        except OSError as error:
            self.release()
            raise CableGone(f"cannot open {self._port}: {error.strerror}") from None

    def release(self) -> None:
        """Free the port; safe to call at any time."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
