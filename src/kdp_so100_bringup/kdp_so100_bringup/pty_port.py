"""A pseudo-terminal that stands in for the serial port of the SO-100, with a cable that can be pulled."""

from __future__ import annotations

import contextlib
import errno
import os
import termios
import tty
from pathlib import Path

from kdp_core.exceptions import ConfigError
from kdp_so100_bringup.registers import BAUD_RATES

_SPEEDS = {
    getattr(termios, f"B{rate}"): code for code, rate in enumerate(BAUD_RATES) if hasattr(termios, f"B{rate}")
}


class PtyPort:
    """The servos' end of a serial port; hosts open `link` (or `name`).

    Args:
        link: a symbolic link to make to the terminal; it goes when the cable is pulled, as /dev/ttyACM0 does.

    Raises:
        ConfigError: if the link cannot be made, or something else than a link is in its place.
    """

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._master = self._slave = -1
        self.name = ""
        if link is not None and link.exists() and not link.is_symlink():
            raise ConfigError(f"--link {link}: exists and is no symbolic link")
        self.plug()

    @property
    def fd(self) -> int:
        """File descriptor to wait on, -1 while the cable is off."""
        return self._master

    @property
    def baud_code(self) -> int | None:
        """Baud rate that the host set, as in register 6; None if it has no number there."""
        with contextlib.suppress(termios.error):
            return _SPEEDS.get(termios.tcgetattr(self._master)[5])
        return None

    def plug(self) -> None:
        """Put the cable on."""
        if self._master >= 0:
            return
        self._master, self._slave = os.openpty()
        # The slave stays open here: without any opener a master reads errors between two hosts.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(self._slave)
        if self._link is not None:
            draft = self._link.with_name(f".{self._link.name}.{os.getpid()}")
            try:
                draft.unlink(missing_ok=True)
                draft.symlink_to(self.name)
                draft.replace(self._link)
            except OSError as error:
                self.unplug()
                raise ConfigError(f"--link {self._link}: cannot make the link: {error.strerror}") from None

    def unplug(self) -> None:
        """Pull the cable: the host's open port hangs up."""
        if self._master < 0:
            return
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self.name:
            self._link.unlink()
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1

    def read(self) -> bytes:
        """Return what the host has written; empty if nothing."""
        try:
            return os.read(self._master, 4096)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EIO):
                return b""
            raise

    def write(self, data: bytes) -> None:
        """Hand bytes to the host; what a host that does not read leaves no room for is lost."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)
